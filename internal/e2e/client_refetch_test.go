//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestClientRefetch: a page fetches what was changed once for each change, and again if the request fails or is older than a
// change.
func TestClientRefetch(t *testing.T) {
	var state, fetches atomic.Int64
	status := atomic.Int64{}
	heldc, releasec := make(chan bool, 1), make(chan bool)
	app := startApp(t, pageApp(map[string]http.HandlerFunc{
		"/state": func(w http.ResponseWriter, r *http.Request) {
			fetches.Add(1)
			n := state.Load()
			switch status.Load() {
			case 503:
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			case 1: // hold one
				status.Store(200)
				heldc <- true
				<-releasec
			}
			fmt.Fprint(w, n)
		},
	}))
	s := startServer(t, app, "")
	changed := func() {
		t.Helper()
		res, err := http.Post(s.hooks+"/publish", "application/json", strings.NewReader(`{"channel":"public.parcel"}`))
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
	b := startBrowser(t)
	b.open(pageAt(s.url, "public.parcel", map[string]any{"maxDelay": 200}))
	b.eval(`window.shown = []; push.refetch("/state", function (x) { shown.push(x.responseText); }); return 0`, nil)
	b.waitFor("the state", `shown.join() === "0"`)
	state.Store(1)
	changed()
	b.waitFor("the change", `shown.join() === "0,1"`)

	// A change while the request is on its way.
	state.Store(2)
	status.Store(1)
	changed()
	<-heldc
	state.Store(3)
	changed()
	b.waitFor("the message of the change", `messages.length >= 3`)
	releasec <- true
	b.waitFor("both", `shown.join() === "0,1,2,3"`)

	// The app fails.
	state.Store(4)
	status.Store(503)
	before := fetches.Load()
	changed()
	eventually(t, "two tries", func() bool { return fetches.Load() >= before+2 })
	status.Store(200)
	b.waitFor("the state after failures", `shown.join() === "0,1,2,3,4"`)

	// Others' messages are not about it.
	before = fetches.Load()
	s.publish(t, "public.parcel", "note")
	b.waitFor("the note", `record[record.length - 1] === "note"`)
	if got := fetches.Load(); got != before {
		t.Errorf("%d fetches for another message", got-before)
	}
}
