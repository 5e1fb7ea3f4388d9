package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"holdfast/internal/wiretest"
)

// TestRequestHeaders: an app that wants a login of Holdfast gets it with each request, and with those that Holdfast makes itself.
func TestRequestHeaders(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Basic YXBwOnNlY3JldA==" {
			http.Error(w, "no login", http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/auth" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
			return
		}
		fmt.Fprint(w, r.Header.Get("X-Other"))
	}))
	t.Cleanup(app.Close)
	const login = "request_headers: {Authorization: Basic YXBwOnNlY3JldA==, X-Other: null}"
	s := serveQuietly(t, "listen: 127.0.0.1:0", "upstream: "+app.URL, "push: {authorize_path: /auth}", "channels: [{match: '**', access: authorize}]", login,
		"routes: [{match: /same}, {match: /other, upstream: '"+app.URL+"'}, {match: /none, request_headers: {}}, {match: /own, request_headers: {X-Other: own}}]")
	for target, want := range map[string]int{"/": 200, "/same": 200, "/other": 401, "/none": 401, "/own": 401, "/_push?channel=a&wait=0": 200} {
		c := wiretest.Dial(t, s.Addr().String())
		c.Send("GET " + target + " HTTP/1.1\r\nHost: app.test\r\nAuthorization: Basic bWFsbG9yeTp4\r\nX-Other: client\r\n\r\n")
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != want || (target == "/" || target == "/same") && body != "" {
			t.Errorf("%s: %d %q, want %d", target, resp.StatusCode, body, want)
		}
	}
}
