package doctor

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/inspect"
)

// titles returns what a report has, in order.
func titles(r *Report) string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, string(f.Kind)+": "+f.Title)
	}
	return strings.Join(list, "\n")
}

// TestUpgradeBesideForeignOrigin: a WebSocket that fails for two reasons is reported for both, or the second would show only
// once the first is mended.
func TestUpgradeBesideForeignOrigin(t *testing.T) {
	for _, tt := range []struct {
		request inspect.Request
		want    string
	}{
		{inspect.Request{Protocol: "HTTP/1.0", Fields: [][2]string{{"Host", "holdfast"}}}, "broken: WebSockets do not get through"},
		{inspect.Request{Protocol: "HTTP/1.1", Fields: [][2]string{{"Upgrade", "websocket"}}}, ""},
		{inspect.Request{Protocol: "HTTP/1.1", Fields: [][2]string{{"Upgrade", "websocket"}}, OriginOK: true}, "broken: WebSockets do not get through"},
	} {
		v := visitOf(t, "http://app.test/", inspect.Settings{PushPaths: []string{"/_push"}})
		v.seen = map[string]inspect.Request{"websocket": tt.request}
		c := newConn("websocket", func() {})
		c.begin(403, http.Header{})
		c.end(errors.New("bad handshake"))
		v.checkUpgrade(&heldConns{webSocket: c})
		if got := titles(v.report); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%+v: %q, want %q", tt.request, got, tt.want)
		}
	}
}

// TestForgedAddress: only a proxy that passes on the visitor's words, and nothing of its own, lets it forge its address.
func TestForgedAddress(t *testing.T) {
	for _, tt := range []struct {
		sent, client string
		want         bool
	}{
		{forgedAddress, forgedAddress, true},
		{forgedAddress + ", 198.51.100.7", "198.51.100.7", false},
		{forgedAddress + ", 127.0.0.1", forgedAddress, false}, // doctor runs on a trusted machine
		{"198.51.100.7", "198.51.100.7", false},
		{"", "127.0.0.1", false},
	} {
		v := visitOf(t, "http://app.test/", inspect.Settings{PushPaths: []string{"/_push"}})
		checkForgedAddress(v, &inspect.Request{Client: tt.client, Fields: [][2]string{{"X-Forwarded-For", tt.sent}}})
		if got := titles(v.report) != ""; got != tt.want {
			t.Errorf("%+v: %s", tt, titles(v.report))
		}
	}
}

// TestDirOf: where a proxy may have Holdfast.
func TestDirOf(t *testing.T) {
	for path, want := range map[string]string{"/": "", "/index.php": "", "/shop/": "/shop", "/shop/page": "/shop", "/a/b/": "/a/b", "/a/b": "/a", "//": ""} {
		if got := dirOf(&url.URL{Path: path}); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestBelow: where a proxy removes the directory of the page from paths, doctor goes on below it; where it removes nothing, the
// key for that is named.
func TestBelow(t *testing.T) {
	for path, want := range map[string]string{
		"/shop/_push": "will bite: The proxy removes /shop from paths: for visitors the push path is /shop/_push.",
		"/_push":      "",
		"":            "broken: Requests for /_push do not reach this Holdfast.",
	} {
		seen := ""
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				w.WriteHeader(404)
				return
			}
			seen = `{"name": "plain", "protocol": "HTTP/1.1", "scheme": "http"}`
		}))
		t.Cleanup(front.Close)
		v := visitOf(t, front.URL+"/shop/", inspect.Settings{})
		v.front = newBrowser(v.page, false)
		defer v.front.close()
		var err error
		if v.server, err = newAPI(fakeAPI(t, func() string { return seen }).URL, "").begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		v.quiet = &session{}
		reached := v.checkReach(t.Context())
		if got := titles(v.report); reached != (path != "") || !strings.HasPrefix(got, want) || reached && !strings.Contains(got, "fine: Requests reach Holdfast.") {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if reached && (v.server.Settings.PushPaths[0] != path || path != "/_push" && v.quiet.Settings.PushPaths[0] != path) {
			t.Errorf("%s: goes on with %v and %v", path, v.server.Settings.PushPaths, v.quiet.Settings.PushPaths)
		}
		if text := written(t, v.report); !reached && !strings.Contains(text, "extra_paths: [/shop/_push]") {
			t.Error(text)
		}
	}
}
