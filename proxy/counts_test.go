package proxy

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/metric"
	"holdfast/internal/wiretest"
)

// TestResponsesAreCounted: each response once, by its code, whoever has made it; and how long the exchanges took.
func TestResponsesAreCounted(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		if r.URL.Path == "/bad" {
			return []byte("not HTTP\r\n\r\n")
		}
		return fmt.Appendf(nil, "HTTP/1.1 %s x\r\nContent-Length: 0\r\n\r\n", r.URL.Path[1:])
	}))
	addr, p := start(t, u.Addr)
	for _, target := range []string{"/200", "/200", "/404", "/777", "/bad", "no target"} {
		c := wiretest.Dial(t, addr)
		c.Send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Response(http.MethodGet)
		c.Conn.Close()
	}
	want := map[string]int64{"200": 2, "404": 1, "other": 1, "502": 1, "400": 1}
	wiretest.Eventually(t, "all are counted", func() bool { return maps.Equal(p.Stats().Responses, want) })
	var b strings.Builder
	s := p.Stats()
	metric.NewWriter(&b).Histogram("holdfast_request_duration_seconds", &s.Durations)
	if !strings.Contains(b.String(), "holdfast_request_duration_seconds_count 5\n") {
		t.Errorf("want 5 exchanges:\n%s", b.String())
	}
}

// TestOnlyUpstreamIsDown: the metric says so after a failed request, and takes it back after one that is answered.
func TestOnlyUpstreamIsDown(t *testing.T) {
	var fails atomic.Bool
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
		if fails.Load() {
			return []byte("not HTTP\r\n\r\n")
		}
		return []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}))
	addr, p := start(t, u.Addr)
	for _, down := range []bool{false, true, false} {
		fails.Store(down)
		c := wiretest.Dial(t, addr)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := c.Response(http.MethodGet); (resp.StatusCode == 502) != down {
			t.Errorf("answered %d", resp.StatusCode)
		}
		if got := p.Stats().Upstreams[0].Down; got != down {
			t.Errorf("down is %v, want %v", got, down)
		}
	}
}
