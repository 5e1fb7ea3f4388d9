//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestClientTransports gives a page the same messages over every transport, and wants it to see no difference.
func TestClientTransports(t *testing.T) {
	app := startApp(t, pageApp(map[string]http.HandlerFunc{
		"/module": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<!DOCTYPE html><title>m</title><script type="module">
import { Holdfast } from "/package/holdfast.mjs";
window.messages = [];
window.push = new Holdfast("public.module").on("message", (m) => messages.push(m.data));
</script>`)
		},
		"/package/holdfast.mjs": source(t, "holdfast.mjs"),
		"/package/holdfast.js":  source(t, "holdfast.js"),
	}))
	s := startServer(t, app, "")
	b := startBrowser(t)
	for _, c := range []struct {
		name, kind string
		options    map[string]any
		without    []string
	}{
		{"websocket", "websocket", nil, nil},
		{"sse", "sse", map[string]any{"transports": []string{"sse", "longpoll"}}, nil},
		{"longpoll", "longpoll", map[string]any{"transports": []string{"longpoll"}}, nil},
		{"a browser without WebSocket", "sse", nil, []string{"WebSocket"}},
		{"a browser from 2012", "longpoll", nil, []string{"WebSocket", "EventSource", "BroadcastChannel", "AbortController", "Promise", "fetch", "globalThis"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.open("about:blank") // the page before ends
			eventually(t, "the last page's hold is gone", func() bool { return s.held(t) == 0 })
			b.open(s.url + "/nothing?channels=public.x")
			b.eval("sessionStorage.clear()", nil)
			b.open(pageAt(s.url, "public.a,public.b", c.options, c.without...))
			b.waitLive(c.kind)
			s.publish(t, "public.a", "grüße 🐢\r\n<b>\"zwei\"</b>\n")
			publishJSON(t, s, "public.b", "{\"a\":\n[1, null]}")
			publishJSON(t, s, "public.a", "null")
			newVisitor(t, s.hooks).do(http.MethodPost, "/publish?channel=public.b&event=moved", nil, strings.NewReader("\xff\x00")).want(t, http.StatusOK)
			b.waitFor("all messages", "messages.length >= 4")
			var wrong string
			b.eval(`
				var want = [
					{channel: "public.a", data: "grüße 🐢\r\n<b>\"zwei\"</b>\n"},
					{channel: "public.b", data: {a: [1, null]}},
					{channel: "public.a", data: null},
					{channel: "public.b", event: "moved", data: "/wA=", encoding: "base64"}];
				if (messages.length !== want.length) return messages.length + " messages";
				for (var i = 0; i < want.length; i++) {
					for (var k of ["channel", "event", "data", "encoding"])
						if (JSON.stringify(messages[i][k]) !== JSON.stringify(want[i][k])) return i + ": " + JSON.stringify(messages[i]);
					if (!(messages[i].id.length > 5) || i && !(messages[i].id > messages[i - 1].id)) return "id " + messages[i].id;
				}
				return ""`, &wrong)
			if wrong != "" {
				t.Error(wrong)
			}
			b.eval("push.close(); return 0", nil)
			b.waitFor("closed", "push.state === 'offline' && states[states.length - 1].reason === 'closed'")
			eventually(t, "the hold ends", func() bool { return s.held(t) == 0 })
			b.eval("push.open(); return 0", nil)
			b.waitLive(c.kind)
			publishJSON(t, s, "public.a", "5")
			b.waitFor("a message after open()", "messages.length === 5 && messages[4].data === 5")
		})
	}
	t.Run("a module", func(t *testing.T) {
		b.t = t
		b.open(s.url + "/module")
		b.waitLive("websocket")
		publishJSON(t, s, "public.module", "1")
		b.waitFor("its message", "messages.length === 1")
	})
}

// source serves a file of the npm package.
func source(t *testing.T, name string) http.HandlerFunc {
	t.Helper()
	text := readSource(t, name)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		fmt.Fprint(w, text)
	}
}
