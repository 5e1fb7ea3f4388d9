package server

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/wiretest"
)

// TestReloadUnderLoad: reloads close no held connection, fail no request and leave no memory behind.
func TestReloadUnderLoad(t *testing.T) {
	const holds, clients, reloads = 120, 4, 40
	a, b := newNamedApp(t, "a"), newNamedApp(t, "b")
	text := func(i int) string {
		return fmt.Sprintf(`
channels: [{match: stays, access: public, history: {messages: %d, age: 1m}}, {match: "other.%d", access: public}]
push: {heartbeat: 0, poll_wait: 2m}
upstream: %s
headers: {X-Reload: "%d"}
routes: [{match: /b, upstream: %q}, {match: /a, upstream: %q, limits: {max_requests_in_flight: 1000}}]
`, 10+i, i, []string{a.URL, b.URL}[i%2], i, b.URL, a.URL)
	}
	x := serveReloaded(t, text(0))
	var held []*wiretest.Client
	for i := range holds {
		query, fields := "channel=stays", []string{wsFields, sseFields, "Accept: application/x-ndjson\r\n", ""}[i%4]
		held = append(held, x.hold(query, fields))
	}
	wiretest.Eventually(t, "all are held", func() bool { return x.held() == holds })
	var group sync.WaitGroup
	var requests atomic.Int64
	stopc := make(chan struct{})
	for range clients {
		c := x.dial()
		group.Go(func() {
			defer c.Close() //nolint:errcheck // its requests are done
			for i := 0; ; i++ {
				select {
				case <-stopc:
					return
				default:
				}
				path, want := []string{"/", "/a", "/b"}[i%3], []string{"a or b", "a", "b"}[i%3]
				c.Send("GET " + path + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
				if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || resp.Header.Get("X-Reload") == "" || !strings.Contains(want, body) {
					t.Errorf("%s: %d %q", path, resp.StatusCode, body)
				}
				requests.Add(1)
			}
		})
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for i := range reloads {
		if i == reloads/4 {
			before = heap()
		}
		n := requests.Load()
		x.must(text(i + 1))
		wiretest.Eventually(t, "requests go on", func() bool { return requests.Load() > n+clients })
	}
	grown := int64(heap()) - int64(before)
	close(stopc)
	group.Wait()
	if grown > 2<<20 {
		t.Errorf("%d bytes more after %d reloads", grown, reloads-reloads/4)
	}
	if n := x.held(); n != holds {
		t.Errorf("%d are held", n)
	}
	if _, body := x.post("/publish?channel=stays", ""); !strings.Contains(body, fmt.Sprintf(`"subscribers":%d`, holds)) {
		t.Errorf("the publish: %s", body)
	}
	if n := x.proxy.Stats().UpstreamErrors; n != 0 {
		t.Errorf("%d upstream errors", n)
	}
	for _, c := range held {
		_ = c.Close()
	}
}
