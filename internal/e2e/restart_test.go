//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// TestRestart restarts Holdfast with the configuration of the page on upgrades, under clients of each kind. They go
// through what the page says, and miss nothing.
func TestRestart(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		fmt.Fprint(w, "the app")
	}))
	dir := t.TempDir()
	config := func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\n", listen, app, hooks) +
			strings.Replace(pageCode(t, "docs/operate/upgrade.md", "yaml", "push:"), "/var/lib/holdfast", dir, 1) + "\n"
	}
	listen, hooks := freeAddr(t), freeAddr(t)
	h := startHoldfastAt(t, listen, hooks, config)
	v := newVisitor(t, h.url)
	const channel = "public.news"
	stream := holdSSE(t, v, channel)
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+listen+pushPath([]string{channel}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	first := h.publish(t, channel, "before the restart").ID
	if got := stream.receive(t); got != "before the restart" {
		t.Fatalf("the stream received %q", got)
	}
	get := func(path string) <-chan string {
		c := make(chan string, 1)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		go func() {
			defer cancel()
			res, err := v.open(ctx, path, nil)
			if err != nil {
				c <- err.Error()
				return
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			c <- res.Status + " " + string(body)
		}()
		return c
	}
	poll, slow := get(pushPath([]string{channel})+"&last_id="+first), get("/slow")
	<-asked
	h.waitSubscribers(t, channel, 3)

	ended := make(chan struct{})
	go func() { // it waits for the request in progress
		defer close(ended)
		h.checkEnd(t)
	}()
	rest, err := io.ReadAll(stream.body)
	if err != nil || !strings.Contains(string(rest), "retry:") {
		t.Errorf("the stream ends with %q, %v; want a retry", rest, err)
	}
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the WebSocket ends with %v, want 1001", err)
	}
	if got := <-poll; !strings.HasPrefix(got, `200 OK {"messages":[],`) {
		t.Errorf("the long poll is answered %s", got)
	}
	newVisitor(t, h.hooks).do(http.MethodGet, "/readyz", nil, nil).want(t, http.StatusServiceUnavailable)
	h.publish(t, channel, "during the shutdown")
	close(release)
	if got := <-slow; got != "200 OK the app" {
		t.Errorf("the request in progress is answered %s", got)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("Holdfast does not end")
	}

	h = startHoldfastAt(t, listen, hooks, config)
	a := newVisitor(t, h.url).get(pushPath([]string{channel}) + "&wait=0&last_id=" + first)
	a.wantText(t, "during the shutdown")
	if strings.Contains(a.body, "gap") || strings.Contains(a.body, "before") {
		t.Errorf("after the restart a client resumes with %s", a.body)
	}
}
