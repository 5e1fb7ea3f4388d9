package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/wiretest"
)

// memorySource answers from memory, as a cache would. With registerMemory it is all that such a source takes.
type memorySource struct {
	x      *exchange
	rest   []byte // of the body, not passed yet
	closed *atomic.Int64
}

// registerMemory makes a proxy answer everything with body, and counts the sources that were closed.
func registerMemory(p *Proxy, body []byte, closed *atomic.Int64) {
	p.newSource = func(x *exchange) source { return &memorySource{x: x, rest: body, closed: closed} }
}

func (s *memorySource) start(*http1.Head, *request.Request, []byte) {
	head := s.x.ownHead(200, fmt.Appendf(nil, "Content-Length: %d\r\n", len(s.rest)))
	if s.x.isHead {
		s.rest = nil
	}
	if s.x.client.passBody(head, s.piece(), false, nil) {
		s.clientReady()
	}
}

func (s *memorySource) piece() []byte {
	b := s.rest[:min(len(s.rest), 16<<10)]
	s.rest = s.rest[len(b):]
	return b
}

func (s *memorySource) bodyReady() {}

func (s *memorySource) clientReady() {
	for s.x.client.out == nil {
		if len(s.rest) == 0 {
			s.x.complete()
			return
		}
		if !s.x.client.pass(nil, s.piece()) {
			return
		}
	}
}

func (s *memorySource) close() { s.closed.Add(1) }

// TestSourceInMemory puts a source beside the others that has no connection and no file: whatever a client does, it is
// the exchange that deals with it.
func TestSourceInMemory(t *testing.T) {
	large := noise(4, 8<<20)
	memory := func(t *testing.T, body []byte) (string, *Proxy) {
		var closed atomic.Int64
		addr, p := startPrepared(t, "127.0.0.1:1", func(p *Proxy) { registerMemory(p, body, &closed) })
		t.Cleanup(func() {
			settled(t, p)
			if n := p.Stats().Requests; closed.Load() != n {
				t.Errorf("%d sources were closed after %d requests", closed.Load(), n)
			}
		})
		return addr, p
	}
	t.Run("the connection is kept", func(t *testing.T) {
		addr, _ := memory(t, []byte("from memory"))
		c := wiretest.Dial(t, addr)
		for _, method := range []string{"GET", "HEAD", "GET"} {
			c.Send(lines(method+" / HTTP/1.1", "Host: x"))
			resp, body := c.Response(method)
			if want := map[string]string{"GET": "from memory"}[method]; resp.StatusCode != 200 || resp.ContentLength != 11 || body != want {
				t.Fatalf("%s: %d, length %d, %q", method, resp.StatusCode, resp.ContentLength, body)
			}
		}
	})
	t.Run("requests that come together", func(t *testing.T) {
		addr, _ := memory(t, []byte("from memory"))
		c := wiretest.Dial(t, addr)
		c.Send(strings.Repeat(lines("GET / HTTP/1.1", "Host: x"), 20))
		for range 20 {
			if _, body := c.Response(http.MethodGet); body != "from memory" {
				t.Fatalf("body %q", body)
			}
		}
	})
	t.Run("a client that closes", func(t *testing.T) {
		addr, _ := memory(t, []byte("from memory"))
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.0"))
		if all, reset := c.Rest(); reset || !strings.HasSuffix(all, "\r\nConnection: close\r\n\r\nfrom memory") {
			t.Errorf("reset %v, %q", reset, all)
		}
	})
	t.Run("a body that nobody reads", func(t *testing.T) {
		addr, _ := memory(t, []byte("from memory"))
		c := wiretest.Dial(t, addr)
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
		if resp, body := c.Response("POST"); !resp.Close || body != "from memory" {
			t.Errorf("close %v, %q", resp.Close, body)
		}
	})
	t.Run("a slow client", func(t *testing.T) {
		addr, p := memory(t, large)
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		wiretest.Eventually(t, "the client is waited for", func() bool { return p.Stats().Buffered > 0 })
		if n := p.Stats().Buffered; n > 32<<10 {
			t.Errorf("%d bytes are taken ahead of the client", n)
		}
		if _, body := c.Response("GET"); body != string(large) {
			t.Errorf("%d bytes came, or others; want %d", len(body), len(large))
		}
		c.Send(lines("HEAD / HTTP/1.1", "Host: x"))
		c.Response("HEAD")
	})
	t.Run("a client that leaves", func(t *testing.T) {
		addr, p := memory(t, large)
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		wiretest.Eventually(t, "the client is waited for", func() bool { return p.Stats().Buffered > 0 })
		c.Close()
		wiretest.Eventually(t, "it is counted", func() bool { return p.Stats().ClientGone+p.Stats().Cut == 1 })
	})
}
