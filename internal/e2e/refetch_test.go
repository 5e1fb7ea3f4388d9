//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestRefetchByMany: ten thousand subscribers are told that something has changed, and ask for it all at once. The app is asked
// at most twice, and each of them gets what is new.
func TestRefetchByMany(t *testing.T) {
	const refetchers = 8000 // connections besides the streams; some ask twice
	var asked, state atomic.Int64
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		now := state.Load()
		time.Sleep(100 * time.Millisecond) // so that many wait for it
		fmt.Fprintf(w, "state %d.", now)
	}))
	s := startServer(t, app, `polls: [{match: /status, key: [query], shared: true, pass: 0, fresh: 1h, channel: public.state}]
timeouts: {idle: 10m}
`)
	streams := newCrowd(t, s.addr)
	streams.open(many, func(int) string {
		return "GET /_push?channel=public.state HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\n\r\n"
	}, func(int) string { return "\r\n\r\n" })
	const request = "GET /status HTTP/1.1\r\nHost: app.test\r\n\r\n"
	pages := newCrowd(t, s.addr)
	pages.open(refetchers, func(int) string { return request }, func(int) string { return "state 0." })
	if n := asked.Load(); n != 1 {
		t.Errorf("the app was asked %d times by the first of all", n)
	}
	for round := int64(1); round <= 3; round++ {
		asked.Store(0)
		state.Store(round)
		streams.forget()
		began := time.Now()
		r, err := http.Post(s.hooks+"/changed?channel=public.state", "", nil)
		if err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		r.Body.Close()
		want := fmt.Sprintf("state %d.", round)
		for i := range many { // each has a connection to ask by, or shares one
			page := pages.clients[i%refetchers]
			if i >= refetchers {
				for page.want != nil {
					pages.step(time.Second)
				}
			}
			pages.expect(page, request, want)
			pages.write(page)
		}
		pages.waitAll()
		all := time.Since(began)
		streams.wait(func(int) string { return "changed" })
		told := time.Since(began)
		n := asked.Load()
		t.Logf("all were told within %v and had what is new within %v; the app was asked %d times", told.Round(time.Millisecond), all.Round(time.Millisecond), n)
		if n > 2 {
			t.Errorf("the app was asked %d times", n)
		}
	}
}
