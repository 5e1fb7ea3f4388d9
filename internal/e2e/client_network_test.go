//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// eachKind runs f on a page that holds public.n by each kind, through a middleman. All at once: most of it
// is waiting.
func eachKind(t *testing.T, f func(t *testing.T, b *browser, s *server, m *middleman)) {
	eachKindOf(t, func(t *testing.T, app string) *server { return startServer(t, app, "") }, f)
}

func eachKindOf(t *testing.T, serve func(t *testing.T, app string) *server, f func(t *testing.T, b *browser, s *server, m *middleman)) {
	for _, kind := range []string{"websocket", "sse", "longpoll"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			s := serve(t, startApp(t, pageApp(nil)))
			m := startMiddleman(t, s.addr)
			b.open(pageAt(m.url, "public.n", map[string]any{"transports": []string{kind}, "maxDelay": 2000}))
			b.waitLive(kind)
			f(t, b, s, m)
		})
	}
}

// TestClientCuts resets the page's connections again and again while numbers are published. History is
// long enough: nothing may be missing, and no gap told.
func TestClientCuts(t *testing.T) {
	eachKind(t, func(t *testing.T, b *browser, s *server, m *middleman) {
		c := &counter{s: s, channel: "public.n"}
		for round := range 6 {
			b.waitRecord(c.next(t, 5))
			switch round % 2 {
			case 0:
				m.cut()
			case 1: // and nobody gets through for a while
				m.set(func() { m.down = true })
				m.cut()
				b.waitFor("the client waits", "push.state === 'waiting'")
				c.next(t, 30)
				m.set(func() { m.down = false })
			}
			c.next(t, 5)
		}
		if record := b.waitRecord(c.next(t, 1)); gapsIn(record) != 0 {
			t.Errorf("a gap was told: %v", record)
		}
		b.waitLive("")
	})
}

// TestClientRestarts ends Holdfast politely and by force. Its history goes with it, so after each the
// page is told of a gap, and whatever is published once the page is back it has.
func TestClientRestarts(t *testing.T) {
	eachKind(t, func(t *testing.T, b *browser, s *server, m *middleman) {
		c := &counter{s: s, channel: "public.n"}
		for round := range 4 {
			b.waitRecord(c.next(t, 10))
			if round%2 == 0 {
				s.stop(t)
			} else {
				s.kill(t)
			}
			b.waitFor("the light has noticed", "push.state !== 'live'")
			s.begin(t)
			c.next(t, 10) // before or after the page is back
			record := b.waitRecord(c.next(t, 1))
			if gaps := gapsIn(record); gaps < round+1 {
				t.Errorf("after %d restarts %d gaps were told", round+1, gaps)
			}
		}
		b.waitLive("")
	})
}

// TestClientStalls stops Holdfast in its tracks: connections stay open and silent. The client must not
// believe them, and when Holdfast goes on, miss nothing.
func TestClientStalls(t *testing.T) {
	eachKind(t, func(t *testing.T, b *browser, s *server, m *middleman) {
		c := &counter{s: s, channel: "public.n"}
		b.waitRecord(c.next(t, 5))
		s.signal(t, syscall.SIGSTOP)
		t.Cleanup(func() { s.signal(t, syscall.SIGCONT) }) // or it could not be ended
		b.waitFor("the silence is noticed", "push.state !== 'live'")
		s.signal(t, syscall.SIGCONT)
		if record := b.waitRecord(c.next(t, 5)); gapsIn(record) != 0 {
			t.Errorf("a gap was told: %v", record)
		}
		b.waitLive("")
	})
}

// startQuiet runs a Holdfast whose heartbeat is too far away to tell the client anything.
func startQuiet(t *testing.T, app string) *server {
	t.Helper()
	return &server{holdfast: startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
		return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\npush: {heartbeat: 10m}\n"+
			"channels: [{match: public.**, access: public}]\n", listen, app, hooks)
	})}
}

// sleep lets the page's clock jump by a minute, as it does when a machine wakes up.
func (b *browser) sleep() {
	b.t.Helper()
	b.eval(`
		var real = Date.prototype.getTime;
		Date.prototype.getTime = function () { return real.call(this) + 60000; };
		return 0`, nil)
}

// TestClientWakes wakes a page whose connection has died in its sleep, and nothing has told it so.
func TestClientWakes(t *testing.T) {
	eachKindOf(t, startQuiet, func(t *testing.T, b *browser, s *server, m *middleman) {
		c := &counter{s: s, channel: "public.n"}
		b.waitRecord(c.next(t, 5))
		// A stream that has just begun is taken to be well.
		b.waitFor("the connection is a while old", "Date.now() - loaded > 6000")
		m.set(func() { m.stalled = true })
		c.next(t, 5)
		b.sleep()
		b.waitFor("the client leaves the dead connection", "push.state !== 'live'")
		m.set(func() { m.stalled = false })
		if record := b.waitRecord(c.next(t, 5)); gapsIn(record) != 0 {
			t.Errorf("a gap was told: %v", record)
		}
		b.waitLive("")
	})
}

// TestClientWakesConnected wakes a page whose WebSocket is well: it is asked, and stays.
func TestClientWakesConnected(t *testing.T) {
	s := startQuiet(t, startApp(t, pageApp(nil)))
	b := startBrowser(t)
	m := startMiddleman(t, s.addr)
	b.open(pageAt(m.url, "public.n", nil))
	b.waitLive("websocket")
	b.eval(`
		window.pongs = 0;
		var parse = JSON.parse;
		JSON.parse = function (text) { var v = parse(text); if (v.type === "pong") pongs++; return v; };
		return 0`, nil)
	b.sleep()
	b.waitFor("the connection was asked", "pongs === 1")
	b.eval("document.dispatchEvent(new Event('visibilitychange')); return 0", nil)
	b.waitFor("the connection was asked again", "pongs === 2")
	b.waitRecord((&counter{s: s, channel: "public.n"}).next(t, 1))
	var live int
	b.eval("return states.filter(function (s) { return s.state === 'live'; }).length", &live)
	if live != 1 {
		t.Errorf("live %d times", live)
	}
}

// TestClientOffline takes the browser's network away, which it tells its pages, and gives it back.
func TestClientOffline(t *testing.T) {
	eachKind(t, func(t *testing.T, b *browser, s *server, m *middleman) {
		c := &counter{s: s, channel: "public.n"}
		b.waitRecord(c.next(t, 5))
		network := func(gone bool) {
			b.cdp("Network.enable", map[string]any{})
			b.cdp("Network.emulateNetworkConditions", map[string]any{
				"offline": gone, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
			})
		}
		network(true)
		b.waitFor("the light says so", "push.state === 'offline' && states[states.length - 1].reason === 'network'")
		c.next(t, 5)
		network(false)
		if record := b.waitRecord(c.next(t, 1)); gapsIn(record) != 0 {
			t.Errorf("a gap was told: %v", record)
		}
		b.waitLive("")
	})
}

// TestClientSlow puts a second before each piece of bytes, either way.
func TestClientSlow(t *testing.T) {
	eachKind(t, func(t *testing.T, b *browser, s *server, m *middleman) {
		c := &counter{s: s, channel: "public.n"}
		b.waitRecord(c.next(t, 5))
		m.set(func() { m.delay = time.Second })
		m.cut()
		c.next(t, 50)
		if record := b.waitRecord(c.next(t, 1)); gapsIn(record) != 0 {
			t.Errorf("a gap was told: %v", record)
		}
		b.waitLive("")
		m.set(func() { m.delay = 0 })
	})
}

// TestClientTooSlow makes the first frame of a WebSocket and of a stream come later than the client has
// patience for. A long poll takes what it can get.
func TestClientTooSlow(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	b := startBrowser(t)
	m := startMiddleman(t, s.addr)
	// The page and its script come before.
	b.open(pageAt(m.url, "public.n", map[string]any{"transports": []string{"longpoll"}}))
	b.waitLive("longpoll")
	m.set(func() { m.delay = 4 * time.Second })
	b.eval("push.close(); push = new Holdfast('public.n').on('message', function (m) { record.push(m.data); }); return 0", nil)
	b.waitLive("longpoll")
	c := &counter{s: s, channel: "public.n"}
	b.waitRecord(c.next(t, 3))
	m.set(func() { m.delay = 0 })
}

// TestClientShortLives sits behind a network that cuts each WebSocket two seconds after its handshake, and one that
// cuts streams too. The page misses nothing on its way to what lasts.
func TestClientShortLives(t *testing.T) {
	for _, c := range []struct {
		last string
		cut  []string // what the requests have whose connections are cut
	}{
		{"sse", []string{"Upgrade: websocket"}},
		{"longpoll", []string{"Upgrade: websocket", "protocol=holdfast.v1"}},
	} {
		t.Run(c.last, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			s := startServer(t, startApp(t, pageApp(nil)), "")
			m := startMiddleman(t, s.addr)
			m.set(func() {
				m.ends = func(b []byte) time.Duration {
					for _, text := range c.cut {
						if bytes.Contains(b, []byte(text)) {
							return 2 * time.Second
						}
					}
					return 0
				}
			})
			// Six waits of up to 30 s could be longer than the test has patience for.
			b.open(pageAt(m.url, "public.n", map[string]any{"maxDelay": 3000}))
			n := &counter{s: s, channel: "public.n"}
			b.waitLive("websocket")
			b.waitRecord(n.next(t, 5))
			b.waitLive(c.last)
			if record := b.waitRecord(n.next(t, 5)); gapsIn(record) != 0 {
				t.Errorf("a gap was told: %v", record)
			}
			var lives map[string]int
			b.eval(`return states.reduce(function (n, s) { if (s.transport) n[s.transport] = (n[s.transport] || 0) + 1; return n; }, {})`, &lives)
			if lives["websocket"] != 3 {
				t.Errorf("lives by kind: %v, want three of the WebSocket", lives)
			}
		})
	}
}

// TestClientPageReturns goes to another page and back. What the browser kept in its back/forward cache,
// or loads anew, is live again.
func TestClientPageReturns(t *testing.T) {
	app := startApp(t, pageApp(map[string]http.HandlerFunc{"/other": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><title>other</title>other")
	}}))
	s := startServer(t, app, "")
	b := startBrowser(t)
	b.open(pageAt(s.url, "public.n", nil))
	b.waitLive("websocket")
	b.eval("window.kept = true; return 0", nil)
	c := &counter{s: s, channel: "public.n"}
	b.waitRecord(c.next(t, 3))
	b.open(s.url + "/other")
	eventually(t, "the page that was left holds nothing", func() bool { return s.held(t) == 0 })
	c.next(t, 3)
	b.command(http.MethodPost, "/back", map[string]any{}, nil)
	b.waitLive("websocket")
	var kept bool
	b.eval("return !!window.kept", &kept)
	t.Logf("kept in the back/forward cache: %v", kept)
	record := b.waitRecord(c.next(t, 1))
	if want := 7; kept && len(record) != want {
		t.Errorf("the page that came back has %v, want 1 to %d", record, want)
	}
}
