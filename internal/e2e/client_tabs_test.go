//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// tabs opens n tabs with the same page, each live, and returns their handles. The first one leads.
func (b *browser) tabs(url string, n int) (handles []string) {
	b.t.Helper()
	for i := range n {
		if i == 0 {
			b.open(url)
			handles = append(handles, b.currentTab())
		} else {
			handles = append(handles, b.tab(url))
		}
		b.waitLive("")
		b.waitFor("the first tab leads, the others share", fmt.Sprintf("push.shared === %v", i > 0))
	}
	return handles
}

// wantOneHeld wants one held connection; another may be on its way out.
func wantOneHeld(t *testing.T, s *server) {
	t.Helper()
	eventually(t, "one connection is held", func() bool { return s.held(t) == 1 })
}

// TestClientTabs opens tabs, closes the one that leads, again and again, and cuts the connection in
// between, while numbers are published: every tab has every one of them, once.
func TestClientTabs(t *testing.T) {
	b := startBrowser(t)
	for _, kind := range []string{"websocket", "sse", "longpoll"} {
		t.Run(kind, func(t *testing.T) {
			b := &browser{t: t, session: b.session, client: b.client}
			s := startServer(t, startApp(t, pageApp(nil)), "")
			m := startMiddleman(t, s.addr)
			b.tab("about:blank") // the last test's tab stays, and its window
			page := pageAt(m.url, "public.n,public.other", map[string]any{"transports": []string{kind}, "maxDelay": 2000})
			handles := b.tabs(page, 4)
			wantOneHeld(t, s)
			c := &counter{s: s, channel: "public.n"}
			c.next(t, 5)
			for len(handles) > 1 {
				b.turnTo(handles[0])
				b.waitFor("this tab leads", "push.shared === false && push.state === 'live'")
				for i, h := range handles {
					b.turnTo(h)
					if record := b.waitRecord(c.n); i > 0 && gapsIn(record) != 0 {
						t.Errorf("a gap was told: %v", record)
					}
				}
				b.turnTo(handles[0])
				c.next(t, 5)
				b.closeTab() // with messages on their way
				handles = handles[1:]
				c.next(t, 5)
				// The browser's order decides who is next.
				for lead := -1; lead < 0; {
					for i, h := range handles {
						b.turnTo(h)
						b.waitRecord(c.n)
						var leads bool
						if b.eval("return push.state === 'live' && push.shared === false", &leads); leads {
							lead = i
						}
					}
					if lead > 0 {
						handles[0], handles[lead] = handles[lead], handles[0]
					}
				}
				wantOneHeld(t, s)
				m.cut()
				c.next(t, 5)
			}
			b.turnTo(handles[0])
			if record := b.waitRecord(c.n); gapsIn(record) != 0 || len(record) != c.n {
				t.Errorf("the last tab has %v, want 1 to %d", record, c.n)
			}
			b.waitLive(kind)
		})
	}
}

// TestClientTabFrozen blocks the tab that leads, as an alert or an endless loop does. Another tab
// takes over, and when the first one moves again it shares and has missed nothing.
func TestClientTabFrozen(t *testing.T) {
	release := make(chan struct{})
	app := startApp(t, pageApp(map[string]http.HandlerFunc{"/block": func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}}))
	s := startServer(t, app, "")
	b := startBrowser(t)
	handles := b.tabs(pageAt(s.url, "public.n", nil), 2)
	c := &counter{s: s, channel: "public.n"}
	b.waitRecord(c.next(t, 3))
	b.turnTo(handles[0])
	b.eval(`push.on("message", function (m) {
		if (m.data !== 4) return;
		var x = new XMLHttpRequest();
		x.open("GET", "/block", false);
		x.send();
	}); return 0`, nil)
	b.turnTo(handles[1])
	b.waitRecord(c.next(t, 1))
	// The user looks at this tab, so it asks the one that leads.
	b.eval("document.dispatchEvent(new Event('visibilitychange')); return 0", nil)
	b.waitFor("the other tab leads", "push.shared === false && push.state === 'live'")
	b.waitRecord(c.next(t, 3))
	close(release)
	b.turnTo(handles[0])
	b.waitFor("the first tab shares", "push.shared === true && push.state === 'live'")
	if record := b.waitRecord(c.next(t, 3)); gapsIn(record) != 0 || len(record) != c.n {
		t.Errorf("the tab that stood still has %v, want 1 to %d", record, c.n)
	}
	b.turnTo(handles[1])
	b.waitRecord(c.n)
	wantOneHeld(t, s)
}

// TestClientTabGivesUp closes the client of the tab that leads, not the tab: the other one has the lock at
// once, and need not take it.
func TestClientTabGivesUp(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	b := startBrowser(t)
	handles := b.tabs(pageAt(s.url, "public.n", nil), 2)
	c := &counter{s: s, channel: "public.n"}
	for round := range 3 {
		leads, shares := handles[round%2], handles[(round+1)%2]
		b.turnTo(leads)
		b.waitRecord(c.next(t, 2))
		b.eval("push.close(); return 0", nil)
		b.turnTo(shares)
		b.waitFor("the other tab leads", "push.shared === false && push.state === 'live'")
		b.waitRecord(c.next(t, 2))
		wantOneHeld(t, s)
		b.turnTo(leads)
		b.eval("push.open(); return 0", nil)
		b.waitFor("this tab shares", "push.shared === true && push.state === 'live'")
		if record := b.waitRecord(c.next(t, 1)); gapsIn(record) != 0 || len(record) != c.n {
			t.Errorf("the tab that closed and opened has %v, want 1 to %d", record, c.n)
		}
	}
	for _, h := range handles {
		b.turnTo(h)
		var steals int
		if b.eval("return steals", &steals); steals != 0 {
			t.Errorf("%d locks were taken by force", steals)
		}
	}
}

// TestClientTabsWithLossyBroadcast loses and doubles what one tab says to another.
func TestClientTabsWithLossyBroadcast(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	b := startBrowser(t)
	b.tabs(pageAt(s.url, "public.n", nil), 2)
	b.eval(`
		var hear = bus.onmessage, n = 0;
		window.lost = window.doubled = 0;
		bus.onmessage = function (e) {
			if (e.data.t !== "batch" || !e.data.list.length) return hear(e);
			n++;
			if (n % 3 === 0) return lost++;
			hear(e);
			if (n % 3 === 1) hear(e), doubled++;
		};
		return 0`, nil)
	c := &counter{s: s, channel: "public.n"}
	c.next(t, 13)
	if record := b.waitRecord(c.next(t, 1)); gapsIn(record) != 0 || len(record) != c.n {
		t.Errorf("the tab has %v, want 1 to %d", record, c.n)
	}
	b.waitFor("some were lost, and some doubled", "lost > 3 && doubled > 3")
}

// TestClientTabsApart has tabs that may not share: other channels, another share, none.
func TestClientTabsApart(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	b := startBrowser(t)
	pages := []string{
		pageAt(s.url, "public.n", nil),
		pageAt(s.url, "public.n,public.more", nil),
		pageAt(s.url, "public.n", map[string]any{"share": "anna"}),
		pageAt(s.url, "public.n", map[string]any{"share": false}),
		pageAt(s.url, "public.n", nil, "BroadcastChannel"),
	}
	for _, page := range pages {
		b.tab(page)
		b.waitFor("it holds its own", "push.state === 'live' && push.shared === false")
	}
	s.waitSubscribers(t, "public.n", len(pages))
	b.tab(pages[2])
	b.waitFor("Anna's other tab shares", "push.state === 'live' && push.shared === true")
	s.waitSubscribers(t, "public.n", len(pages))
}

// TestClientResumes opens pages that were rendered with an id. The first tab resumes over its own
// connection; the second shares it, and catches up on what went by before it was there.
func TestClientResumes(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	b := startBrowser(t)
	rendered := s.publish(t, "public.n", "on the page already").ID
	c := &counter{s: s, channel: "public.n"}
	c.next(t, 3)
	page := pageAt(s.url, "public.n", map[string]any{"lastId": rendered})
	var tabs []string
	for shared := range 3 {
		tabs = append(tabs, b.tab(page))
		b.waitFor("live", fmt.Sprintf("push.state === 'live' && push.shared === %v", shared > 0))
		b.waitRecord(c.n) // what was published before, without a further message to tell of it
		c.next(t, 3)
		for _, tab := range tabs {
			b.turnTo(tab)
			if record := b.waitRecord(c.n); gapsIn(record) != 0 || len(record) != c.n {
				t.Errorf("a tab has %v, want 1 to %d", record, c.n)
			}
		}
	}
	wantOneHeld(t, s)
}

// TestClientListenerThrows has a listener that fails at each message: the others and the next messages
// are not touched.
func TestClientListenerThrows(t *testing.T) {
	s := startServer(t, startApp(t, pageApp(nil)), "")
	b := startBrowser(t)
	b.open(pageAt(s.url, "public.n", nil))
	b.waitLive("")
	b.eval(`
		window.errors = [];
		window.addEventListener("error", function (e) { errors.push(e.message); });
		push.on("message", function (m) { throw new Error("no " + m.data); });
		window.after = [];
		window.later = function (m) { after.push(m.data); };
		push.on("message", later);
		return 0`, nil)
	c := &counter{s: s, channel: "public.n"}
	b.waitRecord(c.next(t, 3))
	b.waitFor("the page hears of its errors", "errors.length === 3 && after.join() === '1,2,3'")
	b.eval("push.off('message', later); return 0", nil)
	b.waitRecord(c.next(t, 1))
	b.waitFor("off() is heeded", "after.length === 3")
}
