package proxy

import (
	"net/http"
	"sync"
	"testing"

	"holdfast/internal/route"
	"holdfast/internal/wiretest"
)

func TestRequestsPerAddress(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, p := start(t, u.Addr, trusting, func(o *Options) { o.Gate = route.NewGate(0, 1, 1) })
	for i, want := range []int{200, 200, 429, 429} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x", "X-Forwarded-For: 192.0.2.1"))
		resp, _ := c.Response(http.MethodGet)
		if resp.StatusCode != want || want == 429 && resp.Header.Get("Retry-After") != "1" {
			t.Fatalf("request %d was answered %d, Retry-After %q; want %d", i, resp.StatusCode, resp.Header.Get("Retry-After"), want)
		}
	}
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x", "X-Forwarded-For: 192.0.2.9"))
	if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 200 {
		t.Fatalf("another client was answered %d", resp.StatusCode)
	}
	if n := p.Stats().RateLimited; n != 2 {
		t.Errorf("%d counted; want 2", n)
	}
}

func TestRequestsInFlight(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { <-release; return ok("done") }))
	addr, p := start(t, u.Addr, func(o *Options) { o.Gate = route.NewGate(2, 0, 0) })
	var held []*wiretest.Client
	for range 2 {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		held = append(held, c)
	}
	wiretest.Eventually(t, "two are in flight", func() bool { return p.Stats().InFlight == 2 })
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x"))
	if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a third was answered %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	free()
	for _, c := range held {
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != "done" {
			t.Errorf("answered %d %q", resp.StatusCode, body)
		}
	}
	if n := p.Stats().Overloaded; n != 1 {
		t.Errorf("%d counted; want 1", n)
	}
}
