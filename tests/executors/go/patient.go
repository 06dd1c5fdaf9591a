package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"sync"
)

var mu sync.Mutex
var silent net.Listener

func waitForLock(w http.ResponseWriter, r *http.Request) { mu.Lock() }

func callBackend(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Get("http://" + silent.Addr().String() + "/")
	fmt.Println(resp, err)
}

func readBackend(w http.ResponseWriter, r *http.Request) {
	c, _ := net.Dial("tcp", silent.Addr().String())
	c.Read(make([]byte, 10))
}

func main() {
	mu.Lock()
	silent, _ = net.Listen("tcp", "127.0.0.1:0")
	http.HandleFunc("/lock", waitForLock)
	http.HandleFunc("/call", callBackend)
	http.HandleFunc("/read", readBackend)
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	fmt.Println(silent.Addr().(*net.TCPAddr).Port)
	http.Serve(l, nil)
}
