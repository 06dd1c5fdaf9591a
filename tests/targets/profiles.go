// Lets target.go serve its profiles on a port of their own.
package main

import (
	"net"
	"net/http"
	_ "net/http/pprof"
)

func init() {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listening, nil)
}
