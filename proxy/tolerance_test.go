package proxy

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestRequestsOfOldClients: what nothing on the way could read in two ways is let in. want is what the app is sent,
// without the forwarding fields; a number is a refusal.
func TestRequestsOfOldClients(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: x\r\n"
	tests := []struct{ name, sent, want string }{
		{"raw EUC-KR", lines("GET /\xc7\xd1?q=\xb1\xdb HTTP/1.1", "Host: x"), "GET /\xc7\xd1?q=\xb1\xdb HTTP/1.1\r\nHost: x\r\n"},
		{"raw UTF-8", lines("GET /\xc3\xa9 HTTP/1.1", "Host: x"), "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n"},
		{"a raw slash in overlong UTF-8", lines("GET /\xc0\xaf HTTP/1.1", "Host: x"), "400"},
		{"a raw dot in overlong UTF-8", lines("GET /\xe0\x80\xae HTTP/1.1", "Host: x"), "400"},
		{"a raw backslash in overlong UTF-8", lines("GET /\xf0\x80\x81\x9c HTTP/1.1", "Host: x"), "400"},
		{"DEL", lines("GET /\x7f HTTP/1.1", "Host: x"), "400"},
		{"absolute with the default port", lines("GET http://app.test:80/x HTTP/1.1", "Host: app.test"), "GET /x HTTP/1.1\r\nHost: app.test\r\n"},
		{"Host with the default port", lines("GET http://app.test/x HTTP/1.1", "Host: App.test:80"), "GET /x HTTP/1.1\r\nHost: App.test:80\r\n"},
		{"empty port", lines("GET http://app.test:/x HTTP/1.1", "Host: app.test"), "GET /x HTTP/1.1\r\nHost: app.test\r\n"},
		{"absolute https", lines("GET https://app.test:443/x HTTP/1.1", "Host: app.test"), "GET /x HTTP/1.1\r\nHost: app.test\r\n"},
		{"the other scheme's port", lines("GET http://app.test:443/x HTTP/1.1", "Host: app.test"), "400"},
		{"another host", lines("GET http://evil.test:80/x HTTP/1.1", "Host: app.test"), "400"},
		{"a host with a user", lines("GET http://a@app.test/x HTTP/1.1", "Host: app.test"), "400"},
		{"absolute, HTTP/1.0 without Host", lines("GET http://app.test:80/x HTTP/1.0"), "GET /x HTTP/1.1\r\nHost: app.test:80\r\n"},
		{"absolute, HTTP/1.0 without Host, bad host", lines("GET http://a@b/x HTTP/1.0"), "400"},
		{"absolute, HTTP/1.1 without Host", lines("GET http://app.test/x HTTP/1.1"), "400"},
		{"Content-Type twice and equal", lines("GET / HTTP/1.1", "Host: x", "Content-Type: a/b", "content-type: a/b"), get + "Content-Type: a/b\r\n"},
		{"Content-Type twice", lines("GET / HTTP/1.1", "Host: x", "Content-Type: a/b", "content-type: a/c"), "400"},
		{"Content-Type thrice, the last another", lines("GET / HTTP/1.1", "Host: x", "Content-Type: a/b", "Content-Type: a/b", "Content-Type: a/c"), "400"},
		{"empty Expect", lines("GET / HTTP/1.1", "Host: x", "Expect:"), get},
		{"another Expect", lines("GET / HTTP/1.1", "Host: x", "Expect: x"), "417"},
		{"an option of Connection that is no token", lines("GET / HTTP/1.1", "Host: x", "Connection: \"a\", timeout=5, b"), get},
		{"HTTP/1.2", lines("GET / HTTP/1.2", "Host: x"), get},
		{"HTTP/2.0", lines("GET / HTTP/2.0", "Host: x"), "505"},
		{"chunked is not the last coding", lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked, gzip"), "400"},
		{"a coding without chunked", lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: gzip"), "400"},
		{"a coding below chunked", lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"), "501"},
		{"a target of 65 KB in one piece", lines("GET /"+strings.Repeat("a", 65<<10)+" HTTP/1.1", "Host: x"), "414"},
		{"Upgrade on two lines", lines("GET / HTTP/1.1", "Host: x", "Connection: keep-alive", "Connection: Upgrade", "Upgrade: a", "Upgrade: b"), get + "Connection: Upgrade\r\nUpgrade: a, b\r\n"},
		{"HTTP/2 among others", lines("GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: h2c, websocket"), get + "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
		{"HTTP/2 on its own line", lines("GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"), get + "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
		{"HTTP/2 alone", lines("GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: h2c, HTTP/2.0"), get},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok("") }))
			addr, _ := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			resp, _ := c.Response(http.MethodGet)
			var sent []string
			for _, line := range strings.SplitAfter(u.Sent(), "\r\n") {
				if !strings.HasPrefix(line, "X-") && line != "\r\n" {
					sent = append(sent, line)
				}
			}
			got := strings.Join(sent, "")
			if got == "" {
				got = resp.Status[:3]
			}
			if got != tt.want {
				t.Errorf("%d, and the app was sent %q; want %q", resp.StatusCode, got, tt.want)
			}
		})
	}
}

func TestASCIITargets(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr, func(o *Options) { o.ASCIITargets = true })
	for _, target := range []string{"/\xc3\xa9", "/?q=\xe9"} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+target+" HTTP/1.1", "Host: x"))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 400 {
			t.Errorf("%q: status %d; want 400", target, resp.StatusCode)
		}
	}
	if u.Sent() != "" {
		t.Errorf("the app was sent %q", u.Sent())
	}
}

// TestTLSOnThePlainPort: whoever speaks TLS here is told so, and so is who reads the log.
func TestTLSOnThePlainPort(t *testing.T) {
	var log wiretest.Log
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c := wiretest.Dial(t, addr)
	c.Send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	resp, body := c.Response(http.MethodGet)
	if resp.StatusCode != 400 || !strings.Contains(body, "TLS") {
		t.Errorf("answered %d %q; want 400 and a word of TLS", resp.StatusCode, body)
	}
	if !strings.Contains(log.String(), "TLS") {
		t.Errorf("logged %q", log.String())
	}
}
