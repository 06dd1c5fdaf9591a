// Handlers for Go's net/http, as tests/corpus/shapes.py names them; everything else about this server is its default.
// Run by the corpus: serve PORT DOWNSTREAM_PORT [CERTIFICATE KEY]. Only the standard library, Go 1.19 or newer.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	workFor       = 20 * time.Millisecond
	slowFor       = time.Second
	pollSeconds   = 20
	downloadParts = 1024
	streamLines   = 240
)

var (
	never  sync.Mutex // locked at the start, unlocked by nobody
	guard  sync.Mutex
	hoards []io.Closer // or the garbage collector would close them
)

func main() {
	never.Lock()
	handle("/ok", func() {})
	handle("/work", func() { time.Sleep(workFor) })
	handle("/slow", func() { time.Sleep(slowFor) })
	handle("/lock", func() { never.Lock() })
	handle("/sleep", func() { time.Sleep(time.Hour) })
	handle("/downstream", func() { io.Copy(io.Discard, ask()) })
	handle("/fetch", func() {
		connection := ask()
		io.Copy(io.Discard, connection)
		hoard(connection)
	})
	handle("/hoard", func() {
		file, err := os.Open(os.DevNull)
		if err != nil {
			log.Panic(err)
		}
		hoard(file)
	})
	http.HandleFunc("/cpu", func(http.ResponseWriter, *http.Request) {
		for {
		}
	})
	http.HandleFunc("/longpoll", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.Atoi(r.FormValue("seconds"))
		if err != nil {
			seconds = pollSeconds
		}
		time.Sleep(time.Duration(seconds) * time.Second)
		fmt.Fprint(w, "ok\n")
	})
	http.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 64*1024)
		for i := 0; i < downloadParts; i++ {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	http.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < streamLines; i++ {
			fmt.Fprintln(w, i)
			w.(http.Flusher).Flush()
			time.Sleep(500 * time.Millisecond)
		}
	})
	http.HandleFunc("/leak", leak)
	if len(os.Args) > 4 {
		log.Fatal(http.ListenAndServeTLS(":"+os.Args[1], os.Args[3], os.Args[4], nil))
	}
	log.Fatal(http.ListenAndServe(":"+os.Args[1], nil))
}

// handle answers a path after the work is done.
func handle(path string, work func()) {
	http.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		work()
		fmt.Fprint(w, "ok\n")
	})
}

// ask connects to the downstream and sends a line.
func ask() net.Conn {
	connection, err := net.Dial("tcp", "127.0.0.1:"+os.Args[2])
	if err != nil {
		log.Panic(err)
	}
	io.WriteString(connection, "news?\n")
	return connection
}

func hoard(thing io.Closer) {
	guard.Lock()
	hoards = append(hoards, thing)
	guard.Unlock()
}

// leak takes a connection over and reads it to its end, and closes it never.
func leak(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		log.Panic(err)
	}
	io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: device\r\n\r\n")
	hoard(connection)
	io.Copy(io.Discard, connection)
}
