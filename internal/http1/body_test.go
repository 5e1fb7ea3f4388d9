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
	f.Add([]byte("5 \nhello\n0\nA: b\nSet-Cookie: c\n\n"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		if len(in) > 64<<10 { // longer ones have nothing new, and cost the fuzzer its pace
			return
		}
		for _, lenient := range []bool{false, true} {
			whole, pieces := readChunks(in, max(len(in), 1), lenient), readChunks(in, int(step)+1, lenient)
			if whole != pieces {
				t.Fatalf("in one: %+v\nin pieces of %d: %+v", whole, int(step)+1, pieces)
			}
			if !whole.done {
				continue
			}
			if strict := readChunks(in, max(len(in), 1), false); lenient && strict.done && strict != whole {
				t.Fatalf("strict: %+v\nlenient: %+v", strict, whole)
			}
			head := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			sent := head + string(AppendLastChunk(append(AppendChunkSize(nil, len(whole.out)), whole.out+"\r\n"...), []byte(whole.trailers)))
			if whole.out == "" {
				sent = head + string(AppendLastChunk(nil, []byte(whole.trailers)))
			}
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(sent)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(req.Body)
			if err != nil || string(got) != whole.out {
				t.Fatalf("net/http reads %q, %v from %q; want %q", got, err, sent, whole.out)
			}
			if lenient {
				continue
			}
			req, err = http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(in))))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(req.Body); err != nil || string(got) != whole.out {
				t.Fatalf("net/http reads %q, %v of what was sent; read here %q", got, err, whole.out)
			}
		}
	})
}

// chunksRead is what became of a chunked body.
type chunksRead struct {
	out, trailers string
	odd           Oddity
	used          int
	done, bad     bool
}

func readChunks(in []byte, step int, lenient bool) (r chunksRead) {
	b := Body{Framing: ByChunks, Lenient: lenient}
	var out []byte
	piece := make([]byte, step)
	for len(in) > 0 && !b.Done {
		n := copy(piece, in)
		data, used, err := b.Feed(piece[:n])
		out = append(out, piece[:data]...)
		if r.used += used; err != nil {
			return chunksRead{out: string(out), bad: true}
		}
		in = in[used:]
	}
	r.out, r.trailers, r.odd, r.done = string(out), string(b.Trailers()), b.NewOdd(), b.Done
	return r
}

// Trailers end: those that are dropped count as the others do, or a body could go on in them for ever.
func TestTrailersHaveALimit(t *testing.T) {
	for _, tt := range []struct {
		line string
		n    int
		bad  bool
	}{
		{"X-A: 3456", maxTrailer / len("X-A: 3456\r\n"), false},
		{"X-A: 3456", maxTrailer, true},
		{"Cookie: 9", maxTrailer / len("X-A: 3456\r\n"), false},
		{"Cookie: 9", maxTrailer, true},
	} {
		in := []byte("3\r\nabc\r\n0\r\n" + strings.Repeat(tt.line+"\r\n", tt.n) + "\r\n")
		for _, lenient := range []bool{false, true} {
			if r := readChunks(in, 1<<10, lenient); r.bad != tt.bad || r.done == tt.bad {
				t.Errorf("%d of %q, lenient %v: refused %v, whole %v", tt.n, tt.line, lenient, r.bad, r.done)
			}
		}
	}
}
