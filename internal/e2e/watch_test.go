//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWatchApps: apps that can only be polled are polled once for all who subscribe: PHP by FastCGI, which goes through
// Holdfast's own listener, and a JSP, which begins a session for each request without a cookie.
func TestWatchApps(t *testing.T) {
	for _, app := range []struct {
		name, status, move string
		start              func(t *testing.T) (upstream string)
		warned             bool // of the sessions
	}{
		{"php-fpm", "/status.php", "/move.php", func(t *testing.T) string {
			dir := publicTempDir(t)
			root := filepath.Join(dir, "app")
			if err := os.CopyFS(root, os.DirFS(filepath.Join(repository, "examples/shared-poll"))); err != nil {
				t.Fatal(err)
			}
			return "fastcgi+unix:" + startFPM(t, dir, nil) + "\nsite: {root: " + root + "}"
		}, false},
		{"tomcat", "/status.jsp", "/move.jsp", func(t *testing.T) string {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "status.jsp"), `<%@page contentType="application/json" import="java.util.*"%><%
Object state = application.getAttribute("parcel" + request.getParameter("id"));
%>{"state": "<%= state == null ? "announced" : state %>", "time": <%= System.nanoTime() %>}`)
			writeFile(t, filepath.Join(dir, "move.jsp"), `<%@page contentType="text/plain"%><%
application.setAttribute("parcel" + request.getParameter("id"), request.getParameter("to"));
%>moved`)
			return "http://" + startTomcat(t, map[string]string{"": dir})
		}, true},
	} {
		t.Run(app.name, func(t *testing.T) {
			upstream := app.start(t)
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf(`
listen: %s
hooks: {listen: %s}
channels: [{match: "parcel.*", access: public, history: {messages: 1}}]
watch: [{channel: "parcel.{id}", url: "%s?id={id}", every: 100ms, data: /state}]
upstream: %s
`, listen, hooks, app.status, upstream)
			})
			v := newVisitor(t, h.url)
			var clients []*sseClient
			for range 20 {
				clients = append(clients, holdSSE(t, v, "parcel.7"))
				clients = append(clients, holdSSE(t, v, "parcel.8"))
			}
			first := clients[0].receive(t)
			if first != "announced" {
				t.Errorf("received %q first", first)
			}
			before := h.metric(t, "holdfast_watch_requests_total")
			v.do(http.MethodGet, app.move+"?id=7&to=sent", nil, nil).want(t, http.StatusOK)
			for i := 0; i < len(clients); i += 2 {
				for got := ""; got != "sent"; {
					got = clients[i].receive(t)
				}
			}
			eventually(t, "the app is asked on", func() bool { return h.metric(t, "holdfast_watch_requests_total") > before+4 })
			if n := h.metric(t, "holdfast_watch_changes_total"); n != 3 {
				t.Errorf("%d changes, want 3: the time in the answer is none", n)
			}
			warned := strings.Contains(h.log.String(), "watched URL sets a cookie")
			if warned != app.warned {
				t.Errorf("warned of sessions: %v, want %v", warned, app.warned)
			}
		})
	}
}
