package upgrade_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestExtraPaths: each push path has all that the first one has, and what only looks like one is the app's.
func TestExtraPaths(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t, func(o *upgrade.Options) { o.Paths = []string{"/_push", "/legacy/_push", "/shop/push"} })
		for i, path := range []string{"/_push", "/legacy/_push", "/shop/push"} {
			c := wiretest.Dial(t, w.addr)
			c.Send(request(kind, path+"?channel=public.a"))
			w.waitHeld(t, int64(i+1))
		}
		w.publish(t, "to all", "public.a")
		if kind == "longpoll" {
			w.waitHeld(t, 0)
		}
	})
	w := start(t, func(o *upgrade.Options) { o.Paths = []string{"/_push", "/legacy/_push", "/shop/push"} })
	for _, tt := range []struct {
		target string
		status int
		says   string
	}{
		{"/_push/client.js", 200, "Holdfast"},
		{"/legacy/_push/client.js", 200, "Holdfast"},
		{"/legacy/_push/shim.js", 200, "Holdfast"},
		{"/legacy/_push/client.js?v=2", 200, "Holdfast"},
		{"http://app.test/shop/push/client.js", 200, "Holdfast"},
		{"/legacy/_push/x", 404, "nothing under this path"},
		{"/legacy/_push/client.js/x", 404, "nothing under this path"},
		{"/legacy/_push", 400, "no channel"},
		{"/legacy/_pushy", 200, "/legacy/_pushy"},
		{"/legacy", 200, "/legacy"},
		{"/legacy/", 200, "/legacy/"},
		{"/shop/_push", 200, "/shop/_push"},
		{"/x/legacy/_push", 200, "/x/legacy/_push"},
	} {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("longpoll", tt.target))
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: answered %d %.80q; want %d and %q", tt.target, resp.StatusCode, body, tt.status, tt.says)
		}
	}
}

// TestDeniedWithoutCookieNamesItsPath: the log has the push path that the client used.
func TestDeniedWithoutCookieNamesItsPath(t *testing.T) {
	var log wiretest.Log
	w := start(t, func(o *upgrade.Options) {
		o.Paths = []string{"/_push", "/legacy/_push"}
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return auth.Result{Status: 403}, nil })
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	c := wiretest.Dial(t, w.addr)
	c.Send(request("sse", "/legacy/_push?channel=user.a"))
	c.Response(http.MethodGet)
	if !strings.Contains(log.String(), "push_path=/legacy/_push") {
		t.Errorf("logged %s", log.String())
	}
}
