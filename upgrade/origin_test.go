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

// TestOriginHint: a refused page's line in the log says why. Where only scheme or port differ, or where a proxy that is
// not trusted names the page's host, a line each minute has a hint at the setting that is likely to be missing.
func TestOriginHint(t *testing.T) {
	const (
		foreign   = `reason="foreign origin; see push.origins"`
		elsewhere = `reason="the page has the same host, but another scheme or port"`
		forwarded = `reason="the page has the host that an untrusted proxy forwards"`
	)
	var log wiretest.Log
	w := start(t, func(o *upgrade.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, tt := range []struct {
		fields []string // Host is app.test
		reason string
		hint   bool
	}{
		{[]string{"Origin: http://evil.test"}, foreign, false},
		{[]string{"Origin: null"}, foreign, false},
		{[]string{"Origin: https://app.test"}, elsewhere, true},
		{[]string{"Origin: http://app.test:8080"}, elsewhere, false}, // in the same minute
		{[]string{"Origin: HTTPS://APP.test"}, elsewhere, false},
		{[]string{"Origin: https://www.test", "X-Forwarded-Host: www.test"}, forwarded, false},
		{[]string{"Origin: https://www.test", "X-Forwarded-Host: cdn.test, WWW.test:443"}, forwarded, false},
		{[]string{"Origin: https://www.test", "Forwarded: for=192.0.2.7;Host=www.test;proto=https"}, forwarded, false},
		{[]string{"Origin: https://evil.test", "X-Forwarded-Host: www.test"}, foreign, false},
		{[]string{"Origin: http://app.test", "Origin: http://evil.test"}, `reason="more than one Origin"`, false},
		{[]string{"Origin: http://app.test", "Origin: http://app.test"}, `reason="more than one Origin"`, false},
	} {
		before := len(log.String())
		c := wiretest.Dial(t, w.addr)
		c.Send(request("sse", "/_push?channel=public.a", tt.fields...))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 403 {
			t.Errorf("%q: status %d", tt.fields, resp.StatusCode)
		}
		got := log.String()[before:]
		if strings.Count(got, "subscribe rejected") != 1 || !strings.Contains(got, tt.reason) || strings.Contains(got, "trusted_proxies") != tt.hint {
			t.Errorf("%q: logged %q; want %s, hint: %v", tt.fields, got, tt.reason, tt.hint)
		}
	}
}
