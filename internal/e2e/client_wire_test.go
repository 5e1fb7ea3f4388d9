//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/fasthttp/websocket"
)

// A page sees neither a WebSocket's pings nor a stream's comments. What it gets instead is the same over
// both: hello with the heartbeat and the number of messages to catch up on, then those, then signs of life.
func TestClientProtocol(t *testing.T) {
	s := startServer(t, "http://"+freeAddr(t), "")
	const channel = "public.news"
	first := s.publish(t, channel, "one")
	second := s.publish(t, channel, "zwei\r\n\"2\"")
	publishJSON(t, s, channel, "{\"a\":\n\r\n[1,\t2]}")
	path := pushPath([]string{channel}) + "&last_id=" + first.ID

	// frames returns a function that reads the next object.
	kinds := map[string]func(t *testing.T) func() map[string]any{
		"websocket": func(t *testing.T) func() map[string]any {
			c, _, err := (&websocket.Dialer{HandshakeTimeout: patience, Subprotocols: []string{"holdfast.v1"}}).
				DialContext(t.Context(), "ws://"+s.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return func() map[string]any {
				_, data, err := c.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				return object(t, data)
			}
		},
		"sse": func(t *testing.T) func() map[string]any {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			t.Cleanup(cancel)
			res, err := newVisitor(t, s.url).open(ctx, path+"&protocol=holdfast.v1", http.Header{"Accept": {"text/event-stream"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { res.Body.Close() })
			if res.StatusCode != http.StatusOK {
				t.Fatal(res.Status)
			}
			c := &sseClient{bufio.NewReader(res.Body)}
			return func() map[string]any { return object(t, []byte(c.receive(t))) }
		},
	}
	for name, dial := range kinds {
		t.Run(name, func(t *testing.T) {
			next := dial(t)
			hello := next()
			if hello["type"] != "hello" || hello["heartbeat"] != 1.0 || hello["replay"] != 2.0 {
				t.Errorf("begins with %v", hello)
			}
			text, tree := next(), next()
			if text["id"] != second.ID || text["channel"] != channel || text["data"] != "zwei\r\n\"2\"" {
				t.Errorf("text came as %v", text)
			}
			if want := map[string]any{"a": []any{1.0, 2.0}}; !reflect.DeepEqual(tree["data"], want) {
				t.Errorf("JSON on several lines came as %v", tree)
			}
			if tree["id"] != hello["id"] {
				t.Errorf("the hello stands at %v, the last message is %v", hello["id"], tree["id"])
			}
			if ping := next(); ping["type"] != "ping" {
				t.Errorf("after silence came %v", ping)
			}
		})
	}

	t.Run("a ping of the page is answered", func(t *testing.T) {
		c, _, err := (&websocket.Dialer{HandshakeTimeout: patience, Subprotocols: []string{"holdfast.v1"}}).
			DialContext(t.Context(), "ws://"+s.addr+pushPath([]string{channel}), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)); err != nil {
			t.Fatal(err)
		}
		for kind := any("hello"); kind != "pong"; {
			_, data, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if kind = object(t, data)["type"]; kind == "error" {
				t.Fatalf("answered with %s", data)
			}
		}
	})
	t.Run("an unknown protocol is refused", func(t *testing.T) {
		newVisitor(t, s.url).do(http.MethodGet, path+"&protocol=holdfast.v9", http.Header{"Accept": {"text/event-stream"}}, nil).
			want(t, http.StatusBadRequest)
	})
	t.Run("a handshake without its Upgrade is no long poll", func(t *testing.T) {
		a := newVisitor(t, s.url).do(http.MethodGet, pushPath([]string{channel}),
			http.Header{"Sec-Websocket-Key": {"aG9sZGZhc3QgY3Jvd2QuLg=="}, "Sec-Websocket-Version": {"13"}}, nil)
		a.want(t, http.StatusBadRequest)
		a.wantText(t, "Upgrade")
	})
}

func object(t *testing.T, data []byte) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return o
}

func publishJSON(t *testing.T, s *server, channel, data string) {
	t.Helper()
	newVisitor(t, s.hooks).do(http.MethodPost, "/publish", http.Header{"Content-Type": {"application/json"}},
		strings.NewReader(fmt.Sprintf(`{"channel": %q, "data": %s}`, channel, data))).want(t, http.StatusOK)
}

// TestClientIsServed fetches the client as a browser does, and again with what it then knows.
func TestClientIsServed(t *testing.T) {
	s := startServer(t, "http://"+freeAddr(t), "")
	v := newVisitor(t, s.url)
	const path = "/_push/client.js"
	for _, coding := range []string{"", "gzip"} {
		t.Run("coding "+coding, func(t *testing.T) {
			header := http.Header{"Accept-Encoding": {coding}, "Origin": {"http://elsewhere.example"}}
			a := v.do(http.MethodGet, path, header, nil)
			a.want(t, http.StatusOK)
			for field, want := range map[string]string{
				"Content-Type":           "text/javascript; charset=utf-8",
				"X-Content-Type-Options": "nosniff",
				"Cache-Control":          "public, max-age=600",
				"Vary":                   "Accept-Encoding",
				"Content-Encoding":       coding,
			} {
				if got := a.Header.Get(field); got != want {
					t.Errorf("%s: %q, want %q", field, got, want)
				}
			}
			tag := a.Header.Get("Etag")
			if len(tag) < 10 {
				t.Fatalf("ETag: %q", tag)
			}
			head := v.do(http.MethodHead, path, header, nil)
			head.want(t, http.StatusOK)
			if head.body != "" || head.ContentLength != int64(len(a.body)) || head.Header.Get("Etag") != tag {
				t.Errorf("HEAD: %d bytes, Content-Length %d, ETag %s; GET: %d bytes, ETag %s",
					len(head.body), head.ContentLength, head.Header.Get("Etag"), len(a.body), tag)
			}
			header.Set("If-None-Match", `"old", W/`+tag)
			again := v.do(http.MethodGet, path, header, nil)
			again.want(t, http.StatusNotModified)
			if again.body != "" || again.Header.Get("Etag") != tag {
				t.Errorf("304 with %d bytes and ETag %s", len(again.body), again.Header.Get("Etag"))
			}
			header.Set("If-None-Match", `"old"`)
			v.do(http.MethodGet, path, header, nil).want(t, http.StatusOK)
		})
	}
	t.Run("a query is no other client", func(t *testing.T) {
		if a := v.get(path + "?v=2"); !strings.Contains(a.body, "Holdfast") {
			t.Errorf("%.80q", a.body)
		}
	})
	t.Run("what is not there", func(t *testing.T) {
		v.do(http.MethodGet, path+"x", nil, nil).want(t, http.StatusNotFound)
		a := v.do(http.MethodPut, path, nil, nil)
		a.want(t, http.StatusMethodNotAllowed)
		if got := a.Header.Get("Allow"); got != "GET, HEAD" {
			t.Errorf("Allow: %q", got)
		}
	})
}
