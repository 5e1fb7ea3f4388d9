package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestHeldByConfiguration: a poll whose page has the response is held, and a publish on the rule's channel ends it.
func TestHeldByConfiguration(t *testing.T) {
	a := newAbsorbed(t, `
push: {logout: {cookies: [sid]}}
channels: [{match: "**", access: public}]
polls: [{match: /status.php, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, hold: 1m}]
`)
	a.app.responds(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, a.app.count()) })
	c := wiretest.Dial(t, a.s.Addr().String())
	poll := func() {
		c.Send("GET /status.php?id=1 HTTP/1.1\r\nHost: app.test\r\nCookie: sid=ann\r\nUser-Agent: b\r\n\r\n")
	}
	poll()
	r, first := c.Response("GET")
	if got := r.Header.Get("Push-Channel"); got != "parcel.1; fresh=300; hold=60" {
		t.Errorf("the shim is told %q", got)
	}
	count := func(line string) (n int) {
		_, rest, _ := strings.Cut(a.api("GET", "/metrics", ""), "\n"+line+" ")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	changed := 0
	for changed < 3 {
		timeouts := count(`holdfast_cache_polls_ended_total{reason="timeout"}`)
		poll()
		wiretest.Eventually(t, "the poll is held", func() bool {
			return count("holdfast_cache_polls_held") == 1 || count(`holdfast_cache_polls_ended_total{reason="timeout"}`) > timeouts
		})
		a.publish("?channel=parcel.2", "x")
		a.publish("?channel=parcel.1", "x")
		_, body := c.Response("GET")
		if count(`holdfast_cache_polls_ended_total{reason="timeout"}`) > timeouts { // on a slow machine, as it is held for a second yet
			continue
		}
		if body == first {
			t.Errorf("the response is still %s", body)
		}
		first = body
		changed++
	}
	if held, n := count("holdfast_cache_polls_held"), count(`holdfast_cache_polls_ended_total{reason="changed"}`); held != 0 || n != 3 {
		t.Errorf("%d are held, %d have ended by a change", held, n)
	}
}
