//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// TestClientRefused asks for a private channel without and with a login. No kind tells a page the status
// but a long poll, and however the client finds out, it asks no more until it is told to.
func TestClientRefused(t *testing.T) {
	var in atomic.Bool
	var asked atomic.Int64
	app := startApp(t, pageApp(map[string]http.HandlerFunc{"/authorize": func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !in.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}}))
	b := startBrowser(t)
	for _, kind := range []string{"websocket", "sse", "longpoll"} {
		t.Run(kind, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			s := startServer(t, app, "")
			in.Store(false)
			asked.Store(0)
			page := pageAt(s.url, "private.n", map[string]any{"transports": []string{kind}, "maxDelay": 100})
			b.open(page)
			const refused = "refusals.length === 1 && push.state === 'offline' && states[states.length - 1].reason === 'refused'"
			b.waitFor("the refusal", refused)
			first := b.currentTab()
			var r struct {
				Status int
				Error  string
			}
			if b.eval("return refusals[0]", &r); r.Status != 401 || r.Error != "not logged in" {
				t.Errorf("refused with %+v", r)
			}
			after := asked.Load()
			if after > 2 {
				t.Errorf("the app was asked %d times", after)
			}
			// A second client on the page goes through ten tries; the first one makes none in that time.
			b.eval(`
				window.tries = 0;
				window.other = new Holdfast("public.n", {url: "/nothing/here", transports: ["longpoll"], maxDelay: 100, share: false});
				other.on("state", function (s) { if (s.state === "waiting") tries++; });
				return 0`, nil)
			b.waitFor("ten tries of another", "tries >= 10")
			b.eval("other.close(); return 0", nil)
			b.waitFor("still refused", refused)
			if got := asked.Load(); got != after {
				t.Errorf("the app was asked %d times more", got-after)
			}

			// Logged in in another tab: both are live, over one connection.
			in.Store(true)
			second := b.tab(page)
			b.waitLive(kind)
			b.turnTo(first)
			b.waitLive(kind)
			wantOneHeld(t, s)
			c := &counter{s: s, channel: "private.n"}
			c.next(t, 3)
			for _, tab := range []string{first, second} {
				b.turnTo(tab)
				b.waitRecord(c.n)
			}

			// Logged out while live: noticed when the connection ends, in both.
			in.Store(false)
			s.kill(t)
			s.begin(t)
			for _, tab := range []string{first, second} {
				b.turnTo(tab)
				b.waitFor("told of the refusal", "push.state === 'offline' && refusals.length > 0")
			}
			in.Store(true)
			b.eval("push.open(); return 0", nil)
			b.waitLive(kind)
			b.turnTo(first)
			b.waitLive(kind)
			b.turnTo(second)
			b.closeTab()
			b.turnTo(first)
		})
	}
}

// TestClientDenied is refused for other reasons.
func TestClientDenied(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(map[string]http.HandlerFunc{"/authorize": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}})), "")
	b := startBrowser(t)
	for name, c := range map[string]struct {
		channel string
		options map[string]any
		want    string
	}{
		"a channel without a rule": {"secret", nil, "refusals.length && refusals[0].status === 403"},
		"a bad channel":            {"public..x", nil, "refusals.length && refusals[0].status === 400"},
		"an id of nobody":          {"public.x", map[string]any{"lastId": "yesterday"}, "refusals.length && refusals[0].status === 400"},
		"an app that is in trouble": {"private.n", map[string]any{"maxDelay": 100},
			"!refusals.length && push.state === 'waiting' && states[states.length - 1].retryIn >= 5000"}, // Retry-After: 5
	} {
		t.Run(name, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			b.open(pageAt(s.url, c.channel, c.options))
			b.waitFor("the client knows", c.want)
		})
	}
}

// TestClientForeignRefusal puts a gateway in between that answers by itself for a while. Its pages are no word of
// Holdfast's: the client comes back as soon as the way is free.
func TestClientForeignRefusal(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	var status, refused atomic.Int64
	gateway := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := status.Load(); n != 0 && r.URL.Path == "/_push" {
			refused.Add(1)
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(int(n))
			fmt.Fprint(w, "<h1>This network wants you to log in</h1>")
			return
		}
		r.Host = s.addr
		r.Header.Set("Origin", s.url)
		pass.ServeHTTP(w, r)
	}))
	b := startBrowser(t)
	c := &counter{s: s, channel: "public.n"}
	for _, code := range []int64{400, 401, 403} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			status.Store(code)
			refused.Store(0)
			b.open(pageAt(gateway, "public.n", map[string]any{"maxDelay": 500}))
			eventually(t, "the gateway has answered often", func() bool { return refused.Load() > 20 })
			b.waitFor("the client waits", "push.state === 'waiting' && refusals.length === 0")
			status.Store(0)
			b.waitLive("")
			b.waitRecord(c.next(t, 1))
		})
	}
}
