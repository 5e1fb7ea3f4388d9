package proxy

import (
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestChallenge: a challenge of a CA is answered before a redirect, and for every Host; nothing else is.
func TestChallenge(t *testing.T) {
	up := named(t, "up")
	addr, _ := start(t, up.Addr, trustLoopback, func(o *Options) {
		o.RedirectHTTPS = true
		o.Challenge = func(path []byte) []byte {
			if string(path) == "/.well-known/acme-challenge/token" {
				return []byte("token.key")
			}
			return nil
		}
	})
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{"/.well-known/acme-challenge/token", 200, "token.key"},
		{"/.well-known/acme-challenge/token?a=b", 200, "token.key"},
		{"/.well-known/acme-challenge/other", 301, ""},
		{"/", 301, ""},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+tt.path+" HTTP/1.1", "Host: [::1]:80", "X-Forwarded-Proto: http"))
		resp, body := c.Response(http.MethodGet)
		if resp.StatusCode != tt.status || tt.body != "" && strings.TrimSpace(body) != tt.body {
			t.Errorf("%s: %d %q", tt.path, resp.StatusCode, body)
		}
	}
	if s := up.Sent(); s != "" {
		t.Errorf("the app was sent %q", s)
	}
}
