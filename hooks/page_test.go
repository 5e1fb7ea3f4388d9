package hooks

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/internal/apigate"
	"holdfast/internal/metric"
	"holdfast/internal/page"
	"holdfast/internal/wiretest"
)

const pageToken = "0123456789abcdef"

// visiting is what a browser sends of a navigation, from the address bar ("none") or from a page.
func visiting(site string) string {
	return "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Site: " + site +
		"\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
}

// script is what a browser sends of a fetch by the page's script.
func script(site string) string {
	return "Holdfast-Page: 1\r\nSec-Fetch-Site: " + site + "\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
}

// part is what a browser sends for a file of a page.
func part(dest string) string {
	return "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: " + dest + "\r\n"
}

const bearer = "Authorization: Bearer " + pageToken + "\r\n"

// TestPage: a browser gets the page, whose parts are files, and whose policy allows nothing else.
func TestPage(t *testing.T) {
	a := start(t, "tcp", Options{})
	got := a.raw(request("GET /", visiting("none"), ""))
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if bad := regexp.MustCompile(`(?i)<script>|<style|<img|<iframe|\son\w+=|\sstyle=|https?://[^w]|javascript:`).FindString(got.body); bad != "" {
		t.Errorf("the page has %q", bad)
	}
	for _, link := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(got.body, -1) {
		dest := map[bool]string{true: "style", false: "script"}[strings.HasSuffix(link[1], ".css")]
		if got := a.raw(request("GET "+link[1], part(dest), "")); got.status != 200 || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("its part %s: %d %v", link[1], got.status, got.header)
		}
	}
	if got := a.raw(request("HEAD /", visiting("none"), "")); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
}

// TestPagePolicy: nothing inline, nothing from elsewhere, in nobody's frame, and no HTML from a script.
func TestPagePolicy(t *testing.T) {
	a := start(t, "tcp", Options{})
	for _, path := range []string{"/", "/page/page.js", "/page/page.css"} {
		h := a.raw(request("GET "+path, "Accept: text/html\r\n", "")).header
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
			"form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
		} {
			if !strings.Contains(policy+";", want+";") {
				t.Errorf("%s: the policy has no %s: %s", path, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: %s", path, policy)
		}
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}

// TestPageText: who does not ask for HTML gets text, with the token.
func TestPageText(t *testing.T) {
	ready := error(nil)
	o := Options{
		Version: "1.2.3", Ready: func() error { return ready },
		Metrics: func(w *metric.Writer) { w.Int("holdfast_connections", 1234567) },
	}
	a := start(t, "tcp", o)
	got := a.raw(request("GET /", "Accept: */*\r\n", ""))
	if got.status != 200 || got.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		!strings.Contains(got.body, "Holdfast 1.2.3\nClients are served.\n") || !regexp.MustCompile(`client connections +1,234,567\n`).MatchString(got.body) {
		t.Errorf("%d %v\n%s", got.status, got.header, got.body)
	}
	ready = errors.New("shutting down")
	if got := a.raw(request("GET /", "", "")); got.status != 200 || !strings.Contains(got.body, "Clients are not served: shutting down.") {
		t.Errorf("while it shuts down: %d %s", got.status, got.body)
	}
	o.Live = Live{Token: pageToken}
	guarded := start(t, "tcp", o)
	if got := guarded.raw(request("GET /", "", "")); got.status != 401 {
		t.Errorf("without the token: %d", got.status)
	}
	if got := guarded.raw(request("GET /", bearer, "")); got.status != 200 {
		t.Errorf("with the token: %d", got.status)
	}
}

// TestVisits: a browser that somebody has sent here may read, and nothing else of a browser gets in.
func TestVisits(t *testing.T) {
	a := start(t, "tcp", Options{})
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"typed", request("GET /", visiting("none"), ""), 200},
		{"a link of the page", request("GET /channels", visiting("same-origin"), ""), 200},
		{"a link of another site", request("GET /", visiting("cross-site"), ""), 403},
		{"a link of another port", request("GET /", visiting("same-site"), ""), 403},
		{"with Origin", request("GET /", "Origin: http://localhost\r\n"+visiting("same-origin"), ""), 403},
		{"another Host", "GET / HTTP/1.1\r\nHost: evil.test\r\n" + visiting("none") + "\r\n", 403},
		{"an address that is no loopback", "GET / HTTP/1.1\r\nHost: 10.0.3.7:9090\r\n" + visiting("none") + "\r\n", 403},
		{"two sites", request("GET /", "Sec-Fetch-Site: cross-site\r\n"+visiting("none"), ""), 403},
		{"a frame", request("GET /", strings.Replace(visiting("none"), "document", "iframe", 1), ""), 403},
		{"a fetch of the API", request("GET /channels", script("same-origin"), ""), 403},
		{"an extension's fetch", request("GET /channels", script("none"), ""), 403},
		{"an image", request("GET /metrics", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n", ""), 403},
		{"a script of another site", request("GET /page/page.js", strings.Replace(part("script"), "same-origin", "cross-site", 1), ""), 403},
		{"a form", request("POST /publish?channel=a", visiting("none"), "x"), 403},
		{"a form of the same origin", request("POST /publish?channel=a", visiting("same-origin"), "x"), 403},
		{"typed, but to publish", request("GET /publish?channel=a", visiting("none"), ""), 405},
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
}

// attack is a request that another page, or somebody without the token, can have a browser send.
type attack struct {
	name, line, fields string
	host               string // empty: localhost
}

func (x attack) request() string {
	host := x.host
	if host == "" {
		host = "localhost"
	}
	return x.line + " HTTP/1.1\r\nHost: " + host + "\r\n" + x.fields + "Content-Length: 1\r\n\r\nx"
}

// TestPageAttacks: what the page's script may do, nobody else can have a browser do, whether publishing needs the token or
// not. See TestPageWithoutToken for what needs it.
func TestPageAttacks(t *testing.T) {
	const live, channels, publish = "GET /page/live", "GET /page/channels", "POST /page/publish?channel=a"
	form := "Origin: https://evil.test\r\nContent-Type: application/x-www-form-urlencoded\r\n" + visiting("cross-site")
	noHeader := strings.Replace(script("same-origin"), "Holdfast-Page: 1\r\n", "", 1)
	var attacks []attack
	for _, line := range []string{live, channels, publish} {
		attacks = append(attacks,
			attack{"foreign origin", line, "Origin: https://evil.test\r\n" + script("cross-site"), ""},
			attack{"foreign origin that lies about its site", line, "Origin: https://evil.test\r\n" + script("same-origin"), ""},
			attack{"origin of another port", line, "Origin: http://localhost:8080\r\n" + script("same-site"), ""},
			attack{"null origin, as of a sandboxed frame", line, "Origin: null\r\n" + script("cross-site"), ""},
			attack{"two origins", line, "Origin: http://localhost\r\nOrigin: https://evil.test\r\n" + script("same-origin"), ""},
			attack{"empty origin", line, "Origin:\r\n" + script("same-origin"), ""},
			attack{"two sites", line, "Sec-Fetch-Site: cross-site\r\n" + script("same-origin"), ""},
			attack{"rebinding", line, "Origin: http://evil.test\r\n" + script("same-origin"), "evil.test"},
			attack{"rebinding to an address", line, script("same-origin"), "10.0.3.7:9090"},
			attack{"rebinding to a name below localhost's", line, script("same-origin"), "localhost.evil.test"},
			attack{"form post", line, form, ""},
			attack{"form post of the same origin", line, visiting("same-origin"), ""},
			attack{"request that a form can make", line, noHeader, ""},
			attack{"image", line, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n", ""},
			attack{"typed address", line, visiting("none"), ""},
			attack{"frame", line, "Holdfast-Page: 1\r\n" + strings.Replace(visiting("same-origin"), "document", "iframe", 1), ""},
		)
	}
	attacks = append(attacks,
		attack{"question of a browser before a foreign fetch", "OPTIONS /page/publish?channel=a",
			"Origin: https://evil.test\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: holdfast-page\r\n" + strings.Replace(script("cross-site"), "Holdfast-Page: 1\r\n", "", 1), ""},
		attack{"the API itself, with the page's header", "POST /publish?channel=a", "Origin: http://localhost\r\n" + script("same-origin"), ""},
		attack{"another path of the API below the page's", "POST /page/disconnect", script("same-origin"), ""},
	)
	for name, o := range map[string]Options{
		"without a token": {Live: Live{Page: page.Publish}}, "with a token": {Live: Live{Token: pageToken}},
	} {
		a := start(t, "tcp", o)
		for _, x := range attacks {
			fields := ""
			if o.Token != "" { // it is the browser that refuses to send it; here the rest is to be enough
				fields = bearer
			}
			y := x
			y.fields += fields
			got := a.raw(y.request())
			if got.status != 403 && (got.status != 404 || x.line != "POST /page/disconnect") {
				t.Errorf("%s, %s: %s: %d %s", name, x.name, x.line, got.status, got.body)
			}
			if v := got.header.Get("Access-Control-Allow-Origin"); v != "" {
				t.Errorf("%s, %s: another origin is allowed: %s", name, x.name, v)
			}
		}
		if n := a.hub.Stats().Published; n > 0 {
			t.Errorf("%s: %d messages were published", name, n)
		}
		if n := a.page.Viewers(); n > 0 {
			t.Errorf("%s: %d viewers", name, n)
		}
	}
}

// TestPageRebindingOnUnixSocket: who passes requests on to a unix socket must not pass on any name.
func TestPageRebindingOnUnixSocket(t *testing.T) {
	a := start(t, "unix", Options{Live: Live{Page: page.Publish, Hosts: []string{"admin.example.com"}}})
	for host, want := range map[string]int{"evil.test": 403, "admin.example.com": 200, "localhost": 200} {
		x := attack{"", "POST /page/publish?channel=a", "Origin: http://" + host + "\r\n" + script("same-origin"), host}
		if got := a.raw(x.request()); got.status != want {
			t.Errorf("%s: %d %s", host, got.status, got.body)
		}
	}
}

// TestPageWithoutToken: with a token, only the three files are for everybody.
func TestPageWithoutToken(t *testing.T) {
	a := start(t, "tcp", Options{Live: Live{Token: pageToken, Page: page.Publish}})
	for _, tt := range []struct {
		line, fields string
		status       int
	}{
		{"GET /", visiting("none"), 200},
		{"GET /page/page.css", part("style"), 200},
		{"GET /page/page.js", part("script"), 200},
		{"GET /page/live", script("same-origin"), 401},
		{"GET /page/channels", script("same-origin"), 401},
		{"GET /page/channels/a/messages", script("same-origin"), 401},
		{"POST /page/publish?channel=a", script("same-origin"), 401},
		{"GET /page/channels", script("same-origin") + "Authorization: Bearer 0123456789abcdeF\r\n", 401},
		{"GET /page/channels?token=" + pageToken, script("same-origin"), 401},
		{"GET /page/channels", script("same-origin") + "Cookie: token=" + pageToken + "\r\n", 401},
		{"GET /page/channels", script("same-origin") + bearer, 200},
		{"GET /page/channels", "Holdfast-Page: 1\r\n" + bearer, 200}, // over http, a browser sends no Sec-Fetch-Site to other machines
		{"POST /page/publish?channel=a", "Holdfast-Page: 1\r\nOrigin: http://localhost\r\n" + bearer, 200},
	} {
		body := map[bool]string{true: "x"}[strings.HasPrefix(tt.line, "POST")]
		if got := a.raw(request(tt.line, tt.fields, body)); got.status != tt.status {
			t.Errorf("%s %q: %d %s; want %d", tt.line, tt.fields, got.status, got.body, tt.status)
		}
	}
	if got := a.raw(request("GET /", visiting("none"), "")); strings.Contains(got.body, pageToken) {
		t.Error("the page has the token")
	}
}

// TestPageMayPublish: with the token, or if hooks.page says so.
func TestPageMayPublish(t *testing.T) {
	for _, tt := range []struct {
		live   Live
		fields string
		status int
	}{
		{Live{}, "", 403},
		{Live{Page: page.Publish}, "", 200},
		{Live{Token: pageToken}, bearer, 200},
		{Live{Token: pageToken, Page: page.Publish}, "", 401},
		{Live{Page: page.Off}, "", 403},
		{Live{Token: pageToken, Page: page.Off}, bearer, 403},
	} {
		a := start(t, "tcp", Options{Live: tt.live})
		got := a.raw(request("POST /page/publish?channel=a", "Origin: http://localhost\r\n"+script("same-origin")+tt.fields, "x"))
		if got.status != tt.status || (a.hub.Stats().Published > 0) != (tt.status == 200) {
			t.Errorf("%+v: %d %s", tt.live, got.status, got.body)
		}
	}
}

// TestPageOff: a browser gets what a program gets.
func TestPageOff(t *testing.T) {
	a := start(t, "tcp", Options{Live: Live{Page: page.Off}})
	if got := a.raw(request("GET /", visiting("none"), "")); got.status != 200 || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %v", got.status, got.header)
	}
	for _, path := range []string{"page.js", "page.css", "live", "channels"} {
		if got := a.raw(request("GET /page/"+path, "Holdfast-Page: 1\r\n", "")); got.status != 404 || !strings.Contains(got.body, "hooks.page") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestPageChannels: the page's script reads what the API has of channels.
func TestPageChannels(t *testing.T) {
	a := start(t, "tcp", Options{})
	a.raw(request("POST /publish?channel=news.1", "", "hello"))
	for path, want := range map[string]string{
		"/page/channels?match=news.**": `"name":"news.1"`, "/page/channels/news.1/messages": `"data":"hello"`,
	} {
		for range 2 { // of one connection, which remembers its target
			if got := a.raw(request("GET "+path, script("same-origin"), "")); got.status != 200 || !strings.Contains(got.body, want) {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	}
	if got := a.raw(request("GET /page/channels/news.1/nothing", script("same-origin"), "")); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// watchPage opens the stream of the page, and returns what comes on it.
func (a *app) watchPage(t *testing.T, fields string) *bufio.Reader {
	t.Helper()
	c := a.dial()
	if _, err := io.WriteString(c, request("GET /page/live", script("same-origin")+fields, "")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || !resp.Close {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return bufio.NewReader(resp.Body)
}

// TestPageLive: the stream has states and the log, and ends with the server.
func TestPageLive(t *testing.T) {
	recorder := page.Record(slog.NewTextHandler(new(wiretest.Log), nil))
	a := start(t, "tcp", Options{Version: "1.2.3", Lines: recorder, Log: slog.New(recorder)})
	a.raw(request("GET /nothing", "Origin: https://evil.test\r\n", ""))
	r := a.watchPage(t, "")
	read := func(want string) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("no %s: %v", want, err)
			}
			if strings.HasPrefix(line, "data: ") && strings.Contains(line, want) {
				return
			}
		}
	}
	read(`"version":"1.2.3"`)
	read(`API request refused`)
	if n := a.page.Viewers(); n != 1 {
		t.Errorf("%d viewers", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(r); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the stream's end: %v", err)
	}
	if n := a.page.Viewers(); n != 0 {
		t.Errorf("%d viewers after the end", n)
	}
}

// TestPageLiveAfterTakeOver: the stream ends when another process has taken over, so that the browser connects to that.
func TestPageLiveAfterTakeOver(t *testing.T) {
	a := start(t, "tcp", Options{})
	r := a.watchPage(t, "")
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	other := start(t, "tcp", Options{})
	Gate(a.Server).Release(&apigate.Successor{Dial: func() (net.Conn, error) { return other.dial(), nil }})
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the stream does not end: %v", err)
	}
	if got := a.raw(request("GET /page/live", script("same-origin"), "")); got.status != 503 || !got.closes {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestPageLiveAfterReload: with another token, or with the page turned off, streams end that were opened before; another
// rule for channels leaves them open.
func TestPageLiveAfterReload(t *testing.T) {
	for name, next := range map[string]Live{
		"another token": {Token: "fedcba9876543210"}, "off": {Token: pageToken, Page: page.Off}, "a token less": {}, "another host": {Token: pageToken, Hosts: []string{"a.test"}},
	} {
		a := start(t, "tcp", Options{Live: Live{Token: pageToken}})
		r := a.watchPage(t, bearer)
		wiretest.Eventually(t, "it is shown", func() bool { return a.page.Viewers() == 1 })
		a.Use(Live{Token: pageToken, Channels: rules()})
		if a.page.Viewers() != 1 {
			t.Errorf("%s: the stream ended because of a rule", name)
		}
		a.Use(next)
		if _, err := io.ReadAll(r); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the stream does not end: %v", name, err)
		}
		wiretest.Eventually(t, name+": nobody looks", func() bool { return a.page.Viewers() == 0 })
	}
}
