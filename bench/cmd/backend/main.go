// Command backend is the app behind every proxy of the benchmark: it answers at once, from memory.
//
//	/s      128 bytes          /64k    64 KB          /10m    10 MB
//
// Any other path, so also an upload, is answered with the 128 bytes when the body has been read.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"holdfast/bench/internal/wire"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: backend ADDRESS")
		os.Exit(2)
	}
	answers := map[string][]byte{"/64k": answer(64 << 10), "/10m": answer(10 << 20)}
	small := answer(128)
	fmt.Fprintln(os.Stderr, wire.Serve(os.Args[1], func(r *wire.Request) []byte {
		if a, ok := answers[strings.TrimPrefix(r.Path, "/cached")]; ok {
			return a
		}
		return small
	}, nil))
	os.Exit(1)
}

func answer(size int) []byte {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
	return append([]byte(head), bytes.Repeat([]byte("x"), size)...)
}
