package hooks

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

// visit is what a browser sends of a navigation, from the address bar ("none") or from a page.
func visit(site string) string {
	return "Sec-Fetch-Site: " + site + "\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
}

func TestPage(t *testing.T) {
	ready := error(nil)
	a := start(t, "tcp", Options{
		Version: "1.2<3>", Ready: func() error { return ready },
		Counts: func() []Count { return []Count{{"held & waiting", 1234567}, {"none", 0}} },
	})
	got := a.raw(request("GET /", visit("none"), ""))
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", got.status, got.header)
	}
	for _, want := range []string{"1.2&lt;3&gt;", "Clients are served.", "running for<td>", "held &amp; waiting<td>1,234,567\n", "none<td>0\n"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page has no %q:\n%s", want, got.body)
		}
	}
	if bad := regexp.MustCompile(`(?i)<script|<img|<iframe|<form|\son\w+=|https?:|@import|url\(`).FindString(got.body); bad != "" {
		t.Errorf("the page has %q", bad)
	}
	policy := got.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
	for _, link := range regexp.MustCompile(`<a href="([^"]*)">`).FindAllStringSubmatch(got.body, -1) {
		if link[1] == "/connections" {
			continue // this server has none
		}
		if got := a.raw(request("GET "+link[1], visit("same-origin"), "")); got.status != 200 {
			t.Errorf("its link %s: %d %s", link[1], got.status, got.body)
		}
	}
	if got := a.raw(request("HEAD /", "", "")); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
	ready = errors.New("shutting down")
	if got := a.raw(request("GET /", "", "")); got.status != 200 || !strings.Contains(got.body, "Clients are not served: shutting down.") {
		t.Errorf("while it shuts down: %d %s", got.status, got.body)
	}
}

// TestVisits: a browser that somebody has sent here may read, and nothing else of a browser gets in.
func TestVisits(t *testing.T) {
	a := start(t, "tcp", Options{})
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"typed", request("GET /", visit("none"), ""), 200},
		{"a link of the page", request("GET /channels", visit("same-origin"), ""), 200},
		{"a link of another site", request("GET /", visit("cross-site"), ""), 403},
		{"a link of another port", request("GET /", visit("same-site"), ""), 403},
		{"with Origin", request("GET /", "Origin: http://localhost\r\n"+visit("same-origin"), ""), 403},
		{"another Host", "GET / HTTP/1.1\r\nHost: evil.test\r\n" + visit("none") + "\r\n", 403},
		{"an address that is no loopback", "GET / HTTP/1.1\r\nHost: 10.0.3.7:9090\r\n" + visit("none") + "\r\n", 403},
		{"two sites", request("GET /", "Sec-Fetch-Site: cross-site\r\n"+visit("none"), ""), 403},
		{"a frame", request("GET /", strings.Replace(visit("none"), "document", "iframe", 1), ""), 403},
		{"a fetch", request("GET /channels", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", ""), 403},
		{"an extension's fetch", request("GET /channels", "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", ""), 403},
		{"an image", request("GET /metrics", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n", ""), 403},
		{"a form", request("POST /publish?channel=a", visit("none"), "x"), 403},
		{"a form of the same origin", request("POST /publish?channel=a", visit("same-origin"), "x"), 403},
		{"typed, but to publish", request("GET /publish?channel=a", visit("none"), ""), 405},
		{"POST", request("POST /", "", "x"), 405},
		{"a parameter", request("GET /?x=1", "", ""), 400},
		{"curl", request("GET /", "", ""), 200},
	} {
		if got := a.raw(tt.request); got.status != tt.status {
			t.Errorf("%s: %d %s; want %d", tt.name, got.status, got.body, tt.status)
		}
	}
	if n := a.hub.Stats().Published; n > 0 {
		t.Errorf("%d messages were published", n)
	}
	guarded := start(t, "tcp", Options{Live: Live{Token: "0123456789abcdef"}})
	if got := guarded.raw(request("GET /", visit("none"), "")); got.status != 401 {
		t.Errorf("without the token: %d", got.status)
	}
	if got := guarded.raw(request("GET /", "Authorization: Bearer 0123456789abcdef\r\n", "")); got.status != 200 {
		t.Errorf("with the token: %d", got.status)
	}
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", 3599 * time.Second: "59 min 59 s",
		25 * time.Hour: "1 d 1 h", 3*time.Hour + 12*time.Minute: "3 h 12 min",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%v: %q; want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -123456: "-123,456", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q; want %q", n, got, want)
		}
	}
}
