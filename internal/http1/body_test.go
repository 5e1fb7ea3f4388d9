package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzChunks: a body in random pieces is read as in one, and as net/http reads it.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint8(1))
	f.Add([]byte("5;a=b\r\nhello\r\n00\r\nT: 1\r\n\r\nGET"), uint8(3))
	f.Add([]byte("A\r\n0123456789\r\n0\r\n\r\n"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		type result struct {
			out  string
			used int
			done bool
			bad  bool
		}
		read := func(step int, decode bool) (r result) {
			b := Body{Framing: ByChunks, Decode: decode}
			for rest := in; len(rest) > 0 && !b.Done; {
				piece := bytes.Clone(rest[:min(step, len(rest))])
				n, used, err := b.Feed(piece)
				r.out += string(piece[:n])
				r.used += used
				if err != nil {
					r.bad = true
					break
				}
				rest = rest[used:]
			}
			r.done = b.Done
			return r
		}
		for _, decode := range []bool{false, true} {
			whole, pieces := read(max(len(in), 1), decode), read(int(step)+1, decode)
			if whole.done != pieces.done || whole.bad != pieces.bad || whole.out != pieces.out {
				t.Fatalf("in one: %+v\nin pieces of %d: %+v", whole, int(step)+1, pieces)
			}
			if !whole.done {
				continue
			}
			head := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			var want string
			if !decode {
				req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + whole.out)))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(req.Body)
				if err != nil {
					t.Fatalf("net/http refuses %q: %v", whole.out, err)
				}
				want = string(b)
			} else {
				want = whole.out
			}
			if got := read(max(len(in), 1), true).out; got != want {
				t.Fatalf("data %q, net/http reads %q", got, want)
			}
		}
	})
}
