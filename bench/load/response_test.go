package load

import (
	"errors"
	"testing"
)

// feedBy gives the stream to r in pieces of size bytes and returns how much belonged to the response.
func feedBy(r *Response, stream string, size int) (used int, done bool, err error) {
	for rest := []byte(stream); len(rest) > 0 && !done && err == nil; {
		n := 0
		n, done, err = r.Feed(rest[:min(size, len(rest))])
		used += n
		rest = rest[min(size, len(rest)):]
		if n < size && !done && err == nil && len(rest) > 0 {
			return used, done, errors.New("stopped in the middle")
		}
	}
	return used, done, err
}

func TestResponse(t *testing.T) {
	cases := []struct {
		name, stream string
		status       int
		body         int64
		done         bool
		rest         string // of the stream, that is no part of the response
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, true, ""},
		{"length, any case", "HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello", 200, 5, true, ""},
		{"no body", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, 0, true, ""},
		{"204 has none", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0, true, ""},
		{"101 has none", "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00", 101, 0, true, "\x81\x00"},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 200, 4, false, ""},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na;x=y\r\n0123456789\r\n0\r\n\r\n", 200, 15, true, ""},
		{"chunks without the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 200, 5, false, ""},
		{"the last chunk without its line end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 200, 5, false, ""},
		{"until the end", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n", 200, 6, false, ""},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", 0, 0, false, ""},
	}
	for _, c := range cases {
		for _, size := range []int{1, 2, 3, 7, 1000} {
			if c.rest != "" && size != 1000 {
				continue // what follows comes in the same read, or it is not Feed's affair
			}
			var r Response
			used, done, err := feedBy(&r, c.stream, size)
			if err != nil {
				t.Errorf("%s, %d bytes at a time: %v", c.name, size, err)
				continue
			}
			if r.Status != c.status || r.Body != c.body || done != c.done || c.stream[used:] != c.rest {
				t.Errorf("%s, %d bytes at a time: status %d body %d done %v rest %q", c.name, size, r.Status, r.Body, done, c.stream[used:])
			}
		}
	}
}

func TestResponseMalformed(t *testing.T) {
	for _, stream := range []string{
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 abc\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	} {
		var r Response
		if _, _, err := r.Feed([]byte(stream)); !errors.Is(err, ErrResponse) {
			t.Errorf("%q: %v", stream, err)
		}
	}
}

// A response is read after another with the same struct, and its fields are its own.
func TestResponseAgain(t *testing.T) {
	var r Response
	for _, c := range []struct {
		stream, etag string
		body         int64
	}{
		{"HTTP/1.1 200 OK\r\nEtag: one\r\nContent-Length: 3\r\n\r\nabc", "one", 3},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "", 1},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag:  three \r\n\r\nab", "three", 2},
	} {
		r.Reset()
		if _, done, err := r.Feed([]byte(c.stream)); !done || err != nil {
			t.Fatalf("%q: done %v, %v", c.stream, done, err)
		}
		if got := string(r.Header("Etag")); got != c.etag || r.Body != c.body {
			t.Errorf("%q: Etag %q, body %d", c.stream, got, r.Body)
		}
	}
}
