package upgrade_test

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestOriginBehindAProxy: a page may hold if the proxy in front says, in whichever way, that it is where the request
// went.
func TestOriginBehindAProxy(t *testing.T) {
	w := startBehind(t, netip.Addr.IsLoopback)
	for _, tt := range []struct {
		name   string
		fields []string // Host is app.test
		held   bool
	}{
		{"Forwarded alone", []string{"Origin: https://app.test", "Forwarded: for=192.0.2.7;proto=https;host=app.test"}, true},
		{"wss", []string{"Origin: https://app.test", "X-Forwarded-Proto: wss"}, true},
		{"upper case", []string{"Origin: https://app.test", "X-Forwarded-Proto: HTTPS"}, true},
		{"a list", []string{"Origin: https://app.test", "X-Forwarded-Proto: https,https"}, true},
		{"two lines", []string{"Origin: https://app.test", "X-Forwarded-Proto: https", "X-Forwarded-Proto: https"}, true},
		{"hosts in a list", []string{"Origin: http://www.test", "X-Forwarded-Host: www.test, www.test"}, true},
		{"a host that the client put first", []string{"Origin: http://evil.test", "X-Forwarded-Host: evil.test, app.test"}, false},
		{"contradiction", []string{"Origin: https://app.test", "X-Forwarded-Proto: https, http"}, false},
		{"a port that Host lacks", []string{"Origin: https://app.test:8443", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"}, true},
		{"another port", []string{"Origin: https://app.test:8444", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"}, false},
		{"no word of https", []string{"Origin: https://app.test"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := wiretest.Dial(t, w.addr)
			c.Send(request("sse", "/_push?channel=public.a", tt.fields...))
			c.Expect(map[bool]string{true: "HTTP/1.1 200 ", false: "HTTP/1.1 403 "}[tt.held])
		})
	}
}

// TestOriginHint: where only scheme or port differ, the log says which setting is likely to be missing, once.
func TestOriginHint(t *testing.T) {
	var log wiretest.Log
	w := start(t, func(o *upgrade.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, origin := range []string{"http://evil.test", "null", "https://app.test", "http://app.test:8080", "https://app.test"} {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("sse", "/_push?channel=public.a", "Origin: "+origin))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 403 {
			t.Errorf("%s: status %d", origin, resp.StatusCode)
		}
	}
	if got := log.String(); strings.Count(got, "trusted_proxies") != 1 || strings.Count(got, "subscribe rejected") != 5 {
		t.Errorf("logged:\n%s\nwant 5 refusals, and trusted_proxies named once", got)
	}
}
