package proxy

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

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
	if s := p.Stats(); s.Durations.Count() != 5 || s.Upstreams[0].FirstByte.Count() != 4 {
		t.Errorf("%d exchanges with times, and %d responses of the app", s.Durations.Count(), s.Upstreams[0].FirstByte.Count())
	}
}

// TestTimesAreCounted: the first byte is that of the final response, and the duration ends with the body. The app waits for the
// client with each part, and the client lets time pass.
func TestTimesAreCounted(t *testing.T) {
	parts := []string{"HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "x"}
	next := make(chan struct{})
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			t.Error(err)
		}
		for _, part := range parts {
			<-next
			io.WriteString(c, part)
		}
	})
	addr, p := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	const pause = 20 * time.Millisecond
	for _, part := range parts {
		next <- struct{}{}
		c.Expect(part)
		time.Sleep(pause)
	}
	wiretest.Eventually(t, "it is counted", func() bool { s := p.Stats(); return s.Durations.Count() == 1 })
	s := p.Stats()
	first, whole := s.Upstreams[0].FirstByte.Sum(), s.Durations.Sum()
	if s.Upstreams[0].FirstByte.Count() != 1 || first < pause || whole < first+pause {
		t.Errorf("first byte after %v, the end after %v", first, whole)
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
