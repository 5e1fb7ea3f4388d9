package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/wiretest"
)

// TestPushOnSites: the app of the site that a client uses authorizes it, and gets its cookies; no other app does. Sites without the
// push path have an ordinary path there.
func TestPushOnSites(t *testing.T) {
	app := func(name string, status int) string {
		a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/auth" && r.Header.Get("Cookie") != "s="+name {
				t.Errorf("%s was asked by %s with the cookie %q", name, r.Host, r.Header.Get("Cookie"))
			}
			if r.URL.Path == "/auth" {
				w.WriteHeader(status)
				return
			}
			fmt.Fprintf(w, "%s %s", name, r.URL.Path)
		}))
		t.Cleanup(a.Close)
		return a.URL
	}
	for _, several := range []bool{true, false} {
		t.Run(fmt.Sprintf("several %v", several), func(t *testing.T) {
			c, err := config.Parse("test.yaml", fmt.Appendf(nil, `
listen: 127.0.0.1:0
hooks: {listen: 127.0.0.1:0}
trusted_proxies: [127.0.0.0/8]
push: {authorize_path: /auth}
channels: [{match: "**", access: authorize}]
sites:
  - {hosts: [a.test, "*.a.test"], push: true, upstream: %q}
  - {hosts: [b.test], push: %v, upstream: %q}
  - {hosts: [c.test], upstream: %q}
`, app("a", 200), several, app("b", 403), app("c", 200)))
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			donec := make(chan error, 1)
			go func() { donec <- s.Serve(ctx) }()
			defer func() {
				cancel()
				if err := <-donec; err != nil {
					t.Error(err)
				}
			}()
			b := "403 "
			if !several {
				b = "200 b /_push"
			}
			for _, tt := range []struct{ head, want string }{
				{"Host: a.test|Cookie: s=a", "200 {"}, {"Host: www.A.test.:80|Cookie: s=a", "200 {"}, {"Host: b.test|Cookie: s=b", b},
				{"Host: c.test|Cookie: s=c", "200 c /_push"}, {"Host: d.test|Cookie: s=a", "421 "},
				{"Host: inside|X-Forwarded-Host: a.test|Cookie: s=a", "200 {"}, {"Host: inside|X-Forwarded-Host: b.test|Cookie: s=b", b},
				{"Host: a.test|X-Forwarded-Host: b.test|Cookie: s=b", "421 "},
			} {
				client := wiretest.Dial(t, s.Addr().String())
				client.Send("GET /_push?channel=x&wait=0 HTTP/1.1\r\n" + strings.ReplaceAll(tt.head, "|", "\r\n") + "\r\n\r\n")
				resp, body := client.Response(http.MethodGet)
				_ = client.Close() // or a refused one would delay the drain
				if got := fmt.Sprintf("%d %s", resp.StatusCode, body); !strings.HasPrefix(got, tt.want) {
					t.Errorf("%s: %q, want %q", tt.head, got, tt.want)
				}
			}
		})
	}
}
