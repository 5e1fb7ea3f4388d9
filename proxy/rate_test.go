package proxy

import (
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

func TestRate(t *testing.T) {
	r := newRate(10, 2)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Unix(1000, 0)
	step := func(addr netip.Addr, wait time.Duration, ok bool) {
		t.Helper()
		if got, admitted := r.admit(addr, now); got != wait || admitted != ok {
			t.Fatalf("%v at %v: %v %v; want %v %v", addr, now.Sub(time.Unix(1000, 0)), got, admitted, wait, ok)
		}
	}
	step(a, 0, true)
	step(a, 0, true)
	step(a, 0, true) // one and a burst of two
	step(a, 100*time.Millisecond, false)
	step(b, 0, true) // each has its own
	now = now.Add(40 * time.Millisecond)
	step(a, 60*time.Millisecond, false) // a refusal costs nothing
	now = now.Add(60 * time.Millisecond)
	step(a, 0, true)
	step(a, 100*time.Millisecond, false)
	now = now.Add(time.Hour)
	for range 3 {
		step(a, 0, true)
	}
	step(a, 100*time.Millisecond, false)
	six := netip.MustParseAddr("2001:db8::1")
	for range 3 {
		step(six, 0, true)
		six = six.Next() // the same /64
	}
	step(six, 100*time.Millisecond, false)
	if wait, ok := (*rate)(nil).admit(a, now); wait != 0 || !ok {
		t.Error("no limit refuses")
	}
}

// TestRateForgets: addresses that ask no more cost nothing for long.
func TestRateForgets(t *testing.T) {
	r := newRate(1000, 0)
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("10.0.0.0")
	for range 200_000 {
		r.admit(addr, now)
		addr = addr.Next()
		now = now.Add(10 * time.Microsecond)
	}
	n := 0
	for i := range r.shards {
		n += len(r.shards[i].empty)
	}
	if n > 20_000 {
		t.Errorf("%d of 200,000 addresses are remembered; at most 100 are not empty", n)
	}
}

func TestRequestsPerAddress(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, p := start(t, u.Addr, trusting, func(o *Options) { o.Rate, o.Burst = 1, 1 })
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
	addr, p := start(t, u.Addr, func(o *Options) { o.MaxRequests = 2 })
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
