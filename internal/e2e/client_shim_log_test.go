//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// netEvent is an event of the browser's network stack, as DevTools shows it.
type netEvent struct {
	Method string
	Params struct {
		RequestID string
		Type      string
		Request   struct{ Method, URL string }
		URL       string // of a WebSocket
		Response  struct {
			URL         string
			Status      int
			PayloadData string // of a WebSocket's frame
		}
		EventName, Data string // of an EventSource's message
	}
}

// network returns what the network stack has done since it was called last.
func (b *browser) network(t *testing.T) (list []netEvent) {
	t.Helper()
	var entries []struct{ Message string }
	b.command(http.MethodPost, "/se/log", map[string]any{"type": "performance"}, &entries)
	for _, e := range entries {
		var m struct{ Message netEvent }
		if err := json.Unmarshal([]byte(e.Message), &m); err != nil {
			t.Fatalf("%v in %s", err, e.Message)
		}
		if strings.HasPrefix(m.Message.Method, "Network.") {
			list = append(list, m.Message)
		}
	}
	return list
}

// polled returns the number of requests for a path that have gone out.
func polled(list []netEvent, path string) (n int) {
	for _, e := range list {
		if e.Method == "Network.requestWillBeSent" && strings.Contains(e.Params.Request.URL, path) {
			n++
		}
	}
	return n
}

// isHello reports whether an event is the first message of the shim's connection.
func isHello(e *netEvent) bool {
	switch e.Method {
	case "Network.eventSourceMessageReceived":
		return strings.Contains(e.Params.Data, `"hello"`)
	case "Network.webSocketFrameReceived":
		return strings.Contains(e.Params.Response.PayloadData, `"hello"`)
	}
	return false
}

// TestShimNetworkLog reads the browser's own log of its network while a page polls every 100 ms. From the hello of the shim's
// connection on, the log has no poll, but one request for the first answer and one for each change, which the page sees. The
// app and its page are as they were: Holdfast adds the tag and names the channel. The same page without the tag shows
// that the log has polls where there are some.
func TestShimNetworkLog(t *testing.T) {
	const path, changes = "/status?", 3
	for _, test := range []struct{ name, host, by string }{
		{"XMLHttpRequest", "127.0.0.1", "xhr"},
		{"fetch", "127.0.0.1", "fetch"},
		{"WebSocket", "rebound.test", "xhr"}, // where pages are not in a secure context
	} {
		t.Run(test.name, func(t *testing.T) {
			app := newShimApp()
			app.silent = true
			app.set("42", "0")
			s := startServer(t, startApp(t, app), `
polls:
  - match: /status
    key: [query.id]
    fresh: 1h
    channel: "public.state.{query.id}"
inject:
  - match: /plain
    polls: ["/status?id"]
`)
			b := startBrowserLogging(t, "performance")
			page := fmt.Sprintf("http://%s:%s/plain?id=42&by=%s", test.host, portOf(t, s.addr), test.by)
			b.open(page)
			var all, held []netEvent
			eventually(t, "the shim's connection is held", func() bool {
				all = append(all, b.network(t)...)
				for i := range all {
					if isHello(&all[i]) {
						held = all[i+1:]
						return true
					}
				}
				return false
			})
			before := polled(all, path) - polled(held, path)
			shown := 0
			some := func() {
				b.eval("shown = [shown[shown.length - 1]]; polls = 0; return 0", nil)
				b.waitFor("some polls", "polls >= 20")
				shown += 20
				held = append(held, b.network(t)...)
			}
			some()
			if n := polled(held, path); n != 1 {
				t.Errorf("%d requests for the first answer, want 1:%s", n, requestsOf(held))
			}
			for i := range changes {
				app.set("42", fmt.Sprint(i+1))
				s.publish(t, "public.state.42", "x")
				b.waitFor("the page shows the change", fmt.Sprintf("shown[shown.length - 1] === '%d'", i+1))
				some()
				if n := polled(held, path); n != i+2 {
					t.Errorf("%d requests after %d changes, want one for each, and the first:%s", n, i+1, requestsOf(held))
				}
			}
			t.Logf("%d polls went out before the connection was held; then the page had %d answers or more, with %d requests",
				before, shown, polled(held, path))

			b.open(page[:strings.Index(page, "/plain")] + "/without?id=42&by=" + test.by)
			b.network(t)
			some()
			if n := polled(held, path); n < changes+1+15 {
				t.Errorf("the log has %d requests where 20 polls go out or more", n-changes-1)
			}
		})
	}
}

// requestsOf returns what the log has of requests, a line each.
func requestsOf(list []netEvent) string {
	var text strings.Builder
	for _, e := range list {
		if e.Method == "Network.requestWillBeSent" {
			fmt.Fprintf(&text, "\n%s %s (%s)", e.Params.Request.Method, e.Params.Request.URL, e.Params.Type)
		}
	}
	return text.String()
}
