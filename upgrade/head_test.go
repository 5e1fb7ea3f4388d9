package upgrade_test

import (
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestHead asks by HEAD below the push path. Whatever the answer, it has no body: the next request on the connection, or
// its end, follows the head.
func TestHead(t *testing.T) {
	for _, tt := range []struct {
		name, target, fields string
		status               int
		allow                string
		ends                 bool // the connection, after the answer
	}{
		{"of the push URL", "/_push?channel=public.a", "", 405, "GET", false},
		{"of a stream", "/_push?channel=public.a", "Accept: text/event-stream\r\n", 405, "GET", false},
		{"of a WebSocket", "/_push?channel=public.a", "Connection: Upgrade\r\nUpgrade: websocket\r\n", 405, "GET", false},
		{"of the push URL without a channel", "/_push", "", 405, "GET", false},
		{"from elsewhere", "/_push?channel=public.a", "Origin: http://elsewhere.test\r\n", 405, "GET", false},
		{"of the browser client", "/_push/client.js", "", 200, "", false},
		{"of the browser client, compressed", "/_push/client.js", "Accept-Encoding: gzip\r\n", 200, "", false},
		{"of the browser client that is known", "/_push/client.js", "If-None-Match: *\r\n", 304, "", false},
		{"of what is not there", "/_push/x", "", 404, "", false},
		{"with content", "/_push?channel=public.a", "Content-Length: 3\r\n", 400, "", true},
		{"while Holdfast goes down", "/_push?channel=public.a", "", 405, "GET", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			if tt.name == "while Holdfast goes down" {
				w.keeper.Drain()
			}
			head := func(method string) (*http.Response, string, *wiretest.Client) {
				c := wiretest.Dial(t, w.addr)
				c.Send(method + " " + tt.target + " HTTP/1.1\r\nHost: app.test\r\n" + tt.fields + "\r\n")
				resp, body := c.Response(method)
				return resp, body, c
			}
			resp, _, c := head("HEAD")
			if resp.StatusCode != tt.status || resp.Header.Get("Allow") != tt.allow {
				t.Errorf("answered %d with Allow %q, want %d and %q", resp.StatusCode, resp.Header.Get("Allow"), tt.status, tt.allow)
			}
			if tt.status == 200 || tt.status == 304 {
				get, _, _ := head("GET")
				for _, field := range []string{"Etag", "Content-Length", "Content-Type", "Content-Encoding", "Cache-Control", "Vary"} {
					if got, want := resp.Header.Get(field), get.Header.Get(field); got != want {
						t.Errorf("%s is %q, and %q after GET", field, got, want)
					}
				}
			}
			if tt.ends {
				if rest, _ := c.Rest(); rest != "" {
					t.Errorf("behind the head came %q", rest)
				}
				return
			}
			c.Send(request("longpoll", "/_push/y"))
			if next, body := c.Response("GET"); next.StatusCode != 404 || !strings.Contains(body, "error") {
				t.Errorf("the next answer is %d %q", next.StatusCode, body)
			}
			if w.held() != 0 {
				t.Errorf("%d are held", w.held())
			}
		})
	}
}
