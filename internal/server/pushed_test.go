package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestPushHeaders: what responses publish goes through the checks of the API, and is in the channel's history before the client
// has its response. A channel without a rule is one that only the cache knows.
func TestPushHeaders(t *testing.T) {
	a := newAbsorbed(t, `
push: {headers: true, max_message: 20}
channels: [{match: "parcel.*", access: public, history: {messages: 10, age: 1h}}]
polls:
- {match: /status.php, key: [query], channel: "parcel.{query.id}", fresh: 1h, pass: 0}
- {match: /page.php, key: [query], channel: "page.{query.id}", fresh: 1h, pass: 0}
- {match: /named.php, key: [query], fresh: 1h, pass: 0}
`)
	a.app.responds(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.URL.Query() {
			if strings.HasPrefix(name, "Push-") {
				w.Header().Set(name, values[0])
			}
		}
		io.WriteString(w, r.URL.Path)
	})
	history := func() string {
		c := wiretest.Dial(t, a.s.HooksAddr().String())
		c.Send("GET /channels/parcel.1/messages HTTP/1.1\r\nHost: localhost\r\n\r\n")
		_, body := c.Response("GET")
		var list []string
		for _, m := range strings.Split(body, `"id":`)[1:] {
			_, rest, _ := strings.Cut(m, ",")
			list = append(list, strings.TrimSuffix(strings.SplitN(rest, "}]", 2)[0], `},{`))
		}
		return strings.Join(list, " ")
	}
	polls := func() (hits string) {
		for _, target := range []string{"/status.php?id=1", "/page.php?id=1", "/named.php?Push-Channel=parcel.1,x%3Bfresh=60"} {
			_, status := a.ask("", "GET", target, "")
			hits += map[bool]string{true: "h", false: "-"}[strings.HasPrefix(status, "hit")]
		}
		return hits
	}
	polls()
	if got := polls(); got != "hhh" {
		t.Fatalf("hits of polls: %s", got)
	}
	for _, c := range []struct{ method, target, history, hits string }{
		{"GET", "/?Push-Channel=parcel.1", "", "hhh"}, // it states
		{"POST", "/?Push-Channel=parcel.1", `"event":"changed","data":{"subscribers":0}`, "-h-"},
		{"POST", "/?Push-Channel=parcel.1&Push-Data=hello%2520you&Push-Event=e", `"event":"e","data":"hello you"`, "-h-"},
		{"GET", "/body?Push-Channel=parcel.1&Push-Body=1", `"data":"/body"`, "-h-"},
		{"POST", "/?Push-Channel=page.1", "", "h-h"},
		{"POST", "/?Push-Channel=x", "", "hh-"},
		{"POST", "/?Push-Channel=page.1&Push-Data=x", "", "hhh"},      // nobody can subscribe
		{"POST", "/?Push-Channel=parcel.1,a+b", "", "hhh"},            // all or nothing
		{"POST", "/?Push-Channel=parcel.1&Push-Event=gap", "", "hhh"}, // reserved
		{"POST", "/?Push-Channel=parcel.1&Push-Data=012345678901234567890", "", "hhh"},
	} {
		before := history()
		a.ask("", c.method, c.target, "")
		got := strings.TrimSpace(strings.TrimPrefix(history(), before))
		if got != c.history {
			t.Errorf("%s %s: published %s, want %s", c.method, c.target, got, c.history)
		}
		if hits := polls(); hits != c.hits {
			t.Errorf("%s %s: hits %s, want %s", c.method, c.target, hits, c.hits)
		}
	}
	for _, text := range []string{"no rule for this channel", "bad channel name"} {
		if !strings.Contains(a.log.String(), text) && text == "no rule for this channel" {
			t.Errorf("the log has no %q: %s", text, a.log.String())
		}
	}
	c := wiretest.Dial(t, a.s.HooksAddr().String())
	c.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_, body := c.Response("GET")
	for _, line := range []string{"holdfast_push_headers_published_total 5\n", `holdfast_push_headers_failed_total{reason="refused"} 3`, `holdfast_push_headers_failed_total{reason="too_large"} 1`, "holdfast_push_headers_bytes 0\n"} {
		if !strings.Contains(body, line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
}
