package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/answering"
	"holdfast/internal/config"
	"holdfast/internal/warnings"
	"holdfast/internal/wiretest"
)

// TestHeadersOfResponses: what headers says is in every response: of the app, of files, of errors and redirects, and what is added in
// those of the push path, for each transport.
func TestHeadersOfResponses(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.css"), []byte("a{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := serveQuietly(t, "listen: 127.0.0.1:0", "upstream: "+newApp(t), "channels: [{match: 'public.**', access: public}]",
		"headers: {X-Frame-Options: DENY, Content-Language: null, Link: {add: '</a.css>'}, Cache-Control: {default: private}, Access-Control-Allow-Origin: 'https://evil.test'}",
		"routes: [{match: /files, root: "+root+", headers: {X-Frame-Options: null, X-Route: files}, expires: 1h}, {match: /moved, redirect: /there}, {match: /denied, deny: ['*.sql']}]")
	for _, tt := range []struct {
		name, request string
		status        int
		frame, cache  string
		pushed        bool
	}{
		{"app", "GET / HTTP/1.1", 200, "DENY", "private", false},
		{"HEAD", "HEAD / HTTP/1.1", 200, "DENY", "private", false},
		{"file", "GET /files/a.css HTTP/1.1", 200, "", "max-age=3600", false},
		{"no file", "GET /files/none HTTP/1.1", 404, "", "no-store", false},
		{"redirect", "GET /moved/x HTTP/1.1", 301, "DENY", "no-store", false},
		{"denied", "GET /denied/x.sql HTTP/1.1", 404, "DENY", "no-store", false},
		{"refused", "GET /%zz HTTP/1.1", 400, "DENY", "no-store", false},
		{"malformed", "GET / HTTP/3.0", 505, "DENY", "no-store", false},
		{"long poll", "GET /_push?channel=public.a&wait=0 HTTP/1.1", 200, "DENY", "no-store", true},
		{"stream", "GET /_push?channel=public.a HTTP/1.1\r\nAccept: text/event-stream", 200, "DENY", "no-store, no-transform", true},
		{"WebSocket", "GET /_push?channel=public.a HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", 101, "DENY", "", true},
		{"refused subscriber", "GET /_push?channel=none HTTP/1.1", 403, "DENY", "no-store", true},
		{"refused at once", "POST /_push?channel=public.a HTTP/1.1\r\nContent-Length: 1", 400, "DENY", "no-store", true},
	} {
		c := wiretest.Dial(t, s.Addr().String())
		line, fields, _ := strings.Cut(tt.request, "\r\n")
		if fields != "" {
			fields += "\r\n"
		}
		c.Send(line + "\r\nHost: x\r\n" + fields + "\r\n")
		method, _, _ := strings.Cut(line, " ")
		resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if resp.StatusCode != tt.status || strings.Join(resp.Header["X-Frame-Options"], "|") != tt.frame || strings.Join(resp.Header["Cache-Control"], "|") != tt.cache {
			t.Errorf("%s: %d %v", tt.name, resp.StatusCode, resp.Header)
		}
		if !slices.Equal(resp.Header["Link"], []string{"</a.css>"}) || resp.Header["Content-Language"] != nil {
			t.Errorf("%s: %v", tt.name, resp.Header)
		}
		if foreign := resp.Header.Get("Access-Control-Allow-Origin"); (foreign == "") != tt.pushed {
			t.Errorf("%s: origin %q", tt.name, foreign)
		}
	}
}

// TestCheckOfUsers: what is wrong with a file of users is told, and one that cannot be read ends the start.
func TestCheckOfUsers(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(bad, []byte("alice:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("c.yaml", []byte("basic_auth: "+bad+"\nroutes: [{match: /a, basic_auth: /nonexistent/users}, {match: /b, basic_auth: off}]"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(warnings.Missing(c), "\n")
	for _, want := range []string{"basic_auth: " + bad + ": line 1: has a password that is not hashed", "basic_auth: open /nonexistent/users: no such file"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	if _, err := Sites(c); err != nil {
		t.Errorf("without a look at files: %v", err)
	}
	if _, _, err := newRouting(c, nil, nil, answering.New(slog.New(slog.DiscardHandler))).sites(); err == nil || !strings.Contains(err.Error(), "/nonexistent/users") {
		t.Errorf("start: %v", err)
	}
}

// TestErrorPages: a page stands for the short one of each kind of failure, and with intercept_errors for those of the app. The status,
// what a client needs with it, and the connection stay.
func TestErrorPages(t *testing.T) {
	root := t.TempDir()
	down := filepath.Join(t.TempDir(), "down.json")
	for name, text := range map[string]string{filepath.Join(root, "404.html"): "<p>not here", down: `{"down":true}`} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-App", "1")
		status, _ := strconv.Atoi(path.Base(r.URL.Path))
		w.WriteHeader(status)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("the app's ", 10_000))
	}))
	t.Cleanup(app.Close)
	s := serveQuietly(t, "listen: 127.0.0.1:0", "upstream: "+app.URL, "headers: {X-Frame-Options: DENY}",
		`error_pages: {404: `+root+`/404.html, "502 503 504": `+down+`, 410: /none.html}`,
		"routes: [{match: /taken, intercept_errors: true}, {match: /files, root: "+root+", error_pages: {404: /404.html}}, {match: /gone, upstream: 'http://127.0.0.1:1'}, {match: /denied, deny: ['*.sql']}, {match: /plain, error_pages: {404: null}, deny: ['*.sql']}]")
	for _, tt := range []struct {
		name, request string
		status        int
		body, kind    string
		own           bool
	}{
		{"the app's", "GET /404 HTTP/1.1", 404, "the app's", "", false},
		{"in place of the app's", "GET /taken/404 HTTP/1.1", 404, "<p>not here", "text/html", true},
		{"in place of the app's, again", "POST /taken/503 HTTP/1.1|Content-Length: 0", 503, `{"down":true}`, "application/json", true},
		{"HEAD", "HEAD /taken/404 HTTP/1.1", 404, "", "text/html", true},
		{"no page for it", "GET /taken/500 HTTP/1.1", 500, "the app's", "", false},
		{"a page that is not there", "GET /taken/410 HTTP/1.1", 410, "the app's", "", false},
		{"no error", "GET /taken/200 HTTP/1.1", 200, "the app's", "", false},
		{"no file", "GET /files/none HTTP/1.1", 404, "<p>not here", "text/html", true},
		{"denied", "GET /denied/a.sql HTTP/1.1", 404, "<p>not here", "text/html", true},
		{"no page at the route", "GET /plain/a.sql HTTP/1.1", 404, "<!doctype", "text/html; charset=utf-8", true},
		{"no app", "GET /gone/x HTTP/1.1", 502, `{"down":true}`, "application/json", true},
		{"no app, HEAD", "HEAD /gone/x HTTP/1.1", 502, "", "application/json", true},
	} {
		c := wiretest.Dial(t, s.Addr().String())
		for range 2 { // the connection continues
			c.Send(strings.ReplaceAll(tt.request, "|", "\r\n") + "\r\nHost: x\r\n\r\n")
			method, _, _ := strings.Cut(tt.request, " ")
			resp, body := c.Response(method)
			if resp.StatusCode != tt.status || !strings.HasPrefix(body, tt.body) || tt.kind != "" && resp.Header.Get("Content-Type") != tt.kind {
				t.Errorf("%s: %d %.80q %v", tt.name, resp.StatusCode, body, resp.Header)
			}
			if resp.Header.Get("X-Frame-Options") != "DENY" || (resp.Header.Get("X-App") == "") != tt.own {
				t.Errorf("%s: %v", tt.name, resp.Header)
			}
			if strings.Contains(tt.request, "/taken/") && resp.Header.Get("Retry-After") != "7" {
				t.Errorf("%s: %v", tt.name, resp.Header)
			}
		}
	}
}

// TestClosedToHoldfast: check tells of paths that Holdfast itself could not request.
func TestClosedToHoldfast(t *testing.T) {
	for _, tt := range []struct{ more, want string }{
		{"allow: [10.0.0.0/8]", "push.authorize_path: Holdfast requests it from 127.0.0.1"},
		{"deny_addresses: [127.0.0.0/8]", "push.authorize_path: Holdfast requests it from 127.0.0.1"},
		{"basic_auth: /etc/users", "events.url: basic_auth is on there"},
		{"allow: [10.0.0.0/8]\nroutes: [{match: /push, allow: [127.0.0.1]}]", ""},
		{"", ""},
	} {
		c, err := config.Parse("c.yaml", []byte("upstream: fastcgi://127.0.0.1:9\nroot: /srv\npush: {authorize_path: /push/auth.php}\nevents: {url: /push/events.php, key: 0123456789abcdef0123, types: [connect]}\n"+tt.more))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(answering.ClosedToHoldfast(c), "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q; want %q", tt.more, got, tt.want)
		}
	}
}

// TestReopened: check tells of what a level below opens by a list of its own.
func TestReopened(t *testing.T) {
	const top = "deny: [\"*.sql\", /data/**]\ndeny_addresses: [192.0.2.7]\n"
	for _, tt := range []struct{ config, want string }{
		{top, ""},
		{top + "routes: [{match: /shop, deny: [\"*.bak\"]}]", "routes[0].deny: it replaces that of the level above, which has *.sql"},
		{top + "routes: [{match: /data/x, deny: [\"*.sql\"]}]", "which has /data/**"},
		{top + "routes: [{match: /shop, deny: [\"*.bak\", \"*.sql\"]}]", ""},
		{top + "routes: [{match: /shop, deny: []}]", ""},
		{top + "routes: [{match: /shop, allow: [10.0.0.0/8]}]", ""},
		{top + "routes: [{match: /shop, deny_addresses: [192.0.2.8]}]", "routes[0].deny_addresses: it replaces that of the level above, which has 192.0.2.7"},
		{top + "sites: [{hosts: [a.test], deny: [\"*.sql\"]}]", "sites[0].deny: it replaces that of the level above, which has /data/**"},
		{"routes: [{match: /admin, allow: [10.0.0.0/8]}]\nsites: [{hosts: [a.test]}, {hosts: [b.test], routes: [{match: /x}]}]",
			"sites[1].routes: they replace those of the top, of which /admin is not for all clients"},
		{"routes: [{match: /admin, basic_auth: /etc/users}]\nsites: [{hosts: [b.test], routes: [{match: /admin, basic_auth: /etc/others}]}]", ""},
		{"routes: [{match: /admin, internal: true}]\nsites: [{hosts: [b.test], upstream: \"http://127.0.0.1:9\", routes: [{match: /x}]}]", ""},
		{"routes: [{match: /admin, allow: []}]\nsites: [{hosts: [b.test], routes: [{match: /x}]}]", ""},
	} {
		c, err := config.Parse("c.yaml", []byte(tt.config))
		if err != nil {
			t.Fatal(err)
		}
		got := answering.Reopened(c)
		if len(got) != min(len(tt.want), 1) || tt.want != "" && !strings.Contains(got[0], tt.want) {
			t.Errorf("%s: %q; want %q", tt.config, got, tt.want)
		}
	}
}

// TestRedirectStatus: a level redirects with its status, or that of the level above, whatever the method.
func TestRedirectStatus(t *testing.T) {
	s := serveQuietly(t, "listen: 127.0.0.1:0", "upstream: "+newApp(t), "redirect_status: 302",
		"routes: [{match: /above, redirect: /there}, {match: /own, redirect: /there, redirect_status: 303}, {match: /kept, redirect: /there, redirect_status: 307}, {match: /usual, redirect: /there, redirect_status: 0}]")
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"GET /above", 302}, {"POST /above", 302}, {"GET /own/x", 303}, {"POST /own/x", 303}, {"DELETE /kept", 307}, {"GET /usual", 301}, {"PUT /usual", 308},
	} {
		c := wiretest.Dial(t, s.Addr().String())
		method, path, _ := strings.Cut(tt.request, " ")
		c.Send(tt.request + " HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n")
		if resp, _ := c.Response(method); resp.StatusCode != tt.want || !strings.HasPrefix(resp.Header.Get("Location"), "/there") {
			t.Errorf("%s %s: %d to %q, want %d", method, path, resp.StatusCode, resp.Header.Get("Location"), tt.want)
		}
	}
}
