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
