// Serves as tests/targets/__init__.py says: target [BEATS].
package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

var never sync.Mutex

func stall() { never.Lock() }

func serve(client net.Conn) {
	defer client.Close()
	first := make([]byte, 1)
	client.Read(first)
	if first[0] == 's' {
		stall()
	}
	fmt.Fprint(client, "ok\n")
}

// beat writes how often it came round, and the longest time from one to the next, where others can read it.
func beat(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	page, err := syscall.Mmap(int(file.Fd()), 0, 16, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	for last, count := time.Now(), uint64(1); ; count++ {
		time.Sleep(5 * time.Millisecond)
		now := time.Now()
		gap := uint64(now.Sub(last))
		if gap > binary.LittleEndian.Uint64(page[8:]) {
			binary.LittleEndian.PutUint64(page[8:], gap)
		}
		binary.LittleEndian.PutUint64(page, count)
		last = now
	}
}

func main() {
	never.Lock()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if len(os.Args) > 1 {
		go beat(os.Args[1])
	}
	fmt.Println("up", listening.Addr().(*net.TCPAddr).Port)
	for {
		client, err := listening.Accept()
		if err != nil {
			panic(err)
		}
		go serve(client)
	}
}
