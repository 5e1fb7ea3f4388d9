package doctor

import (
	"errors"
	"net/http"
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
