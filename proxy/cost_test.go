//go:build linux && !park_plain

package proxy

import (
	"bytes"
	"io"
	"net"
	"testing"
	"unsafe"

	"holdfast/internal/tracecontext"
	"holdfast/internal/wiretest"
)

// plainApp answers each request head with the same bytes and allocates nothing for it.
func plainApp(t testing.TB, answer []byte) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in, n := make([]byte, 8<<10), 0
				for {
					m, err := c.Read(in[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(in[:n], []byte("\r\n\r\n")) {
						n = 0
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// asks returns a function that makes a small proxied request on a kept connection and reads the whole response.
func asks(t testing.TB, change ...func(*Options)) func() {
	answer := []byte("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\nhello")
	addr, _ := start(t, plainApp(t, answer), change...)
	c := wiretest.Dial(t, addr)
	request, response := []byte(lines("GET /a HTTP/1.1", "Host: x", "Cookie: a=b")), make([]byte, len(answer))
	return func() {
		if _, err := c.Conn.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.Conn, response); err != nil || !bytes.Equal(response, answer) {
			t.Fatalf("response %q, %v", response, err)
		}
	}
}

// TestProxiedRequestAllocatesNothing counts the allocations of the whole process: of the client and the app there are
// none. It is the epoll poller's cost: the plain one makes no such promise.
func TestProxiedRequestAllocatesNothing(t *testing.T) {
	for _, p := range []*tracecontext.Policy{nil, makeOnes} {
		ask := asks(t, tracing(p))
		for range 100 {
			ask()
		}
		if n := testing.AllocsPerRun(500, ask); n > 0 {
			t.Errorf("%v allocations per proxied request with traces by %+v; want none", n, p)
		}
	}
}

func BenchmarkProxiedRequest(b *testing.B) {
	ask := asks(b)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
	b.ReportMetric(float64(unsafe.Sizeof(exchange{})), "B/exchange")
}
