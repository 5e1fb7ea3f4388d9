package upgrade_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
)

func init() {
	wires["ndjson"] = &wire{
		transport: "ndjson", fields: []string{"Accept: application/json;q=0.5, application/x-ndjson"}, tellsChanges: true,
		begin: beginNDJSON, fill: fillNDJSON, beat: func(c *client) { c.line("\n") }, over: overStream, drained: func(c *client) { overStream(c, 0) },
	}
}

func beginNDJSON(c *client, resp *http.Response) {
	c.t.Helper()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" || resp.ContentLength != -1 ||
		resp.Header.Get("Cache-Control") != "no-store, no-transform" {
		c.t.Fatalf("%s: answered %d %v", c.kind, resp.StatusCode, resp.Header)
	}
	wantHello(c)
}

func fillNDJSON(c *client) {
	c.t.Helper()
	line, err := c.Reader.ReadString('\n')
	timeout := net.Error(nil)
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		c.t.Fatalf("nothing came")
	case err != nil:
		c.queue = append(c.queue, message{Type: "end"})
	case line == "\n":
		c.beats++
		fillNDJSON(c)
	default:
		c.queue = append(c.queue, objectOf(c.t, line))
	}
}

// TestNDJSON checks the bytes of a stream: every object is one line, whatever is published.
func TestNDJSON(t *testing.T) {
	w := start(t)
	first := w.publish(t, "1", "old.a")
	for range 3 {
		w.publish(t, "2", "old.a")
	}
	c := wiretest.Dial(t, w.addr)
	c.Send(request("ndjson", "/_push?channel=public.a&channel=old.a&last_id="+first))
	c.Expect("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store, no-transform\r\n" +
		"X-Accel-Buffering: no\r\nConnection: close\r\n\r\n")
	line := func(want ...string) {
		t.Helper()
		got, err := c.Reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%q; want %s in it", got, part)
			}
		}
	}
	line(`{"type":"hello","id":"`, `"replay":3}`)
	line(`{"type":"gap","channel":"old.a","id":"`)
	line(`{"type":"message","id":"`, `"channel":"old.a","data":"2"}`)
	line(`"data":"2"}`)
	for _, tt := range []struct {
		draft hub.Draft
		want  string
	}{
		{hub.Draft{Data: []byte("a\nb\r\n")}, `"channel":"public.a","data":"a\nb\r\n"}`},
		{hub.Draft{Data: []byte("{\"a\":\n[1,\r\n2]}"), JSON: true, Event: "moved"}, `"event":"moved","data":{"a":[1,2]}}`},
		{hub.Draft{Data: []byte("\xff")}, `"data":"/w==","encoding":"base64"}`},
	} {
		tt.draft.Channels = []string{"public.a"}
		if _, err := w.hub.Publish([]hub.Draft{tt.draft}); err != nil {
			t.Fatal(err)
		}
		line(tt.want)
	}
}
