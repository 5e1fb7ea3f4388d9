package proxy

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/heldpoll"
	"holdfast/internal/http1"
	"holdfast/internal/wiretest"
)

// holding is an app whose polls are held.
type holding struct {
	*cachedApp
	polls *heldpoll.Polls
	state atomic.Value // what the app answers to a poll
}

const holdTime = time.Minute

func newHolding(t *testing.T, change func(r *rules.Options), options ...func(*Options)) *holding {
	t.Helper()
	rule := rules.Options{
		Name: "poll", Match: "/poll", Channel: "c", Parts: []string{"query", "session"}, MaxBytes: 1 << 20, Hold: holdTime,
		Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true, ETag: true},
	}
	if change != nil {
		change(&rule)
	}
	h := &holding{}
	h.state.Store("one")
	answer := func(_ int64, r *http.Request, body []byte) []byte {
		if strings.HasPrefix(r.URL.Path, "/poll") {
			return ok(h.state.Load().(string))
		}
		return ok("other")
	}
	page := rules.Options{Name: "page", Match: "/stored", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}
	h.cachedApp = newCachedApp(t, []rules.Options{rule, page}, answer, append([]func(*Options){func(o *Options) {
		o.Cache.Settle = time.Nanosecond
		o.Cache.EndsSession = http1.NewPathSet([]string{"/logout"})
		h.polls = heldpoll.New(heldpoll.Options{Store: o.Cache.Store, MaxBytes: 10 << 20, HalfClose: 0, Log: o.Log})
		o.Held = h.polls
	}}, options...)...)
	return h
}

const pollFields = "Host: app.test\r\nCookie: sid=1\r\nUser-Agent: browser\r\n"

// client returns a client that has the answer.
func (h *holding) client() *wiretest.Client {
	h.t.Helper()
	c := wiretest.Dial(h.t, h.addr)
	h.poll(c, "Prefer: wait=0") // another client of the same browser may have it already
	c.Response("GET")
	return c
}

func (h *holding) poll(c *wiretest.Client, fields ...string) {
	c.Send("GET /poll HTTP/1.1\r\n" + pollFields + strings.Join(append(fields, ""), "\r\n") + "\r\n")
}

// held waits until so many polls are held.
func (h *holding) held(n int64) {
	h.t.Helper()
	wiretest.Eventually(h.t, fmt.Sprintf("%d polls are held", n), func() bool {
		s := h.polls.Stats()
		return s.Held == n && int64(h.store.Stats().Watches) == n && (n > 0 || s.Bytes == 0)
	})
}

// ended checks why polls have ended.
func (h *holding) ended(why string, n int64) {
	h.t.Helper()
	if s := h.polls.Stats(); s.Ended[why] != n {
		h.t.Errorf("ended: %v; want %d by %s", s.Ended, n, why)
	}
}

// TestHold: a poll whose client has the answer is held until there is another one, whatever the reason.
func TestHold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *holding)
	}{ // the app answers "two" afterwards, or meanwhile something long
		{"a publish", func(h *holding) { h.store.InvalidateChannel("c") }},
		{"a purge", func(h *holding) { h.store.Clear() }},
		{"a write of the session", func(h *holding) { h.get("POST", "/save", "Cookie: sid=1") }},
		{"a logout of the session", func(h *holding) { h.get("GET", "/%6cogout", "Cookie: sid=1") }},
		{"room for others", func(h *holding) {
			h.state.Store(strings.Repeat("x", 900<<10))
			for i := range 2 { // of the session
				h.get("GET", fmt.Sprintf("/poll?%d", i), "Cookie: sid=1")
			}
			h.state.Store("two")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHolding(t, nil)
			mine := h.client()
			h.poll(mine)
			h.held(1)
			h.state.Store("two")
			c.change(h)
			if r, body := mine.Response("GET"); r.StatusCode != 200 || body != "two" && body[0] != 'x' {
				t.Errorf("%d %.80q", r.StatusCode, body)
			}
			h.held(0)
			h.ended("changed", 1)
			h.poll(mine, "Prefer: wait=0") // the connection continues
			mine.Response("GET")
			h.poll(mine)
			h.held(1)
		})
	}
}

// TestHoldOthersWrite: what another session does ends nothing.
func TestHoldOthersWrite(t *testing.T) {
	h := newHolding(t, nil)
	mine := h.client()
	h.poll(mine)
	h.held(1)
	h.get("POST", "/save", "Cookie: sid=2")
	h.get("GET", "/logout", "Cookie: sid=2")
	h.store.InvalidateChannel("other")
	h.held(1)
}

// TestHoldTimeout: at its end the client gets the answer, or is told that it has it.
func TestHoldTimeout(t *testing.T) {
	h := newHolding(t, func(r *rules.Options) { r.Hold = 100 * time.Millisecond })
	c := h.client()
	h.poll(c)
	if r, body := c.Response("GET"); r.StatusCode != 200 || body != "one" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	h.poll(c)
	etag := func() string { r, _ := c.Response("GET"); return r.Header.Get("ETag") }()
	h.poll(c, "If-None-Match: "+etag)
	if r, body := c.Response("GET"); r.StatusCode != 304 || body != "" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	h.ended("timeout", 3)
	if n := h.asked.Load(); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestHoldStale: when the answer is too old the app is asked once for all; who has what it says stays.
func TestHoldStale(t *testing.T) {
	h := newHolding(t, func(r *rules.Options) { r.Policy.Fresh = 300 * time.Millisecond })
	var clients []*wiretest.Client
	for range 5 {
		clients = append(clients, h.client())
	}
	for _, c := range clients {
		h.poll(c)
	}
	wiretest.Eventually(t, "the app was asked again", func() bool { return h.asked.Load() >= 4 })
	h.state.Store("two")
	for _, c := range clients {
		for {
			r, body := c.Response("GET")
			if body == "two" {
				break
			}
			if r.StatusCode != 200 || body != "one" { // the one whose request has asked the app
				t.Fatalf("%d %q", r.StatusCode, body)
			}
			h.poll(c)
		}
	}
	h.held(0)
}

// TestHoldSameAnswer: a change that leaves the answer as it is ends the poll that asks the app, and no other.
func TestHoldSameAnswer(t *testing.T) {
	h := newHolding(t, nil)
	for range 3 {
		h.poll(h.client())
	}
	h.held(3)
	h.store.InvalidateChannel("c")
	h.held(2)
	if n := h.asked.Load(); n != 2 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestHoldLeaves: a client that goes away leaves nothing behind, and asks the app nothing.
func TestHoldLeaves(t *testing.T) {
	h := newHolding(t, nil)
	request := "GET /poll HTTP/1.1\r\n" + pollFields + "\r\n"
	for name, leave := range map[string]func(c net.Conn){
		"close": func(c net.Conn) { c.Close() },
		"reset": wiretest.Reset,
		"end":   wiretest.EndSide,
	} {
		before := h.polls.Stats().Ended["client_gone"]
		for n := range len(request) { // in the middle of its request
			c := h.client()
			c.Send(request[:n])
			leave(c.Conn)
		}
		c := h.client()
		h.poll(c)
		h.held(1)
		leave(c.Conn)
		h.held(0)
		if n := h.polls.Stats().Ended["client_gone"] - before; n != 1 {
			t.Errorf("%s: %d are gone; %v", name, n, h.polls.Stats().Ended)
		}
	}
	settled(t, h.proxy)
	if n := h.asked.Load(); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestHoldSpeaks: a client that sends its next request while it is held gets both responses, in their order.
func TestHoldSpeaks(t *testing.T) {
	h := newHolding(t, nil)
	c := h.client()
	h.poll(c)
	h.held(1)
	c.Send("GET /other HTTP/1.1\r\nHost: app.test\r\n\r\n")
	for _, want := range []string{"one", "other"} {
		if _, body := c.Response("GET"); body != want {
			t.Errorf("%q; want %q", body, want)
		}
	}
	h.ended("client_sent", 1)
	other := "GET /other HTTP/1.1\r\nHost: app.test\r\n\r\n"
	c.Send("GET /poll HTTP/1.1\r\n" + pollFields + "\r\n" + other) // at once: it is not held
	for _, want := range []string{"one", "other"} {
		if _, body := c.Response("GET"); body != want {
			t.Errorf("%q; want %q", body, want)
		}
	}
	h.held(0)
}

// TestHoldNot: who is not held.
func TestHoldNot(t *testing.T) {
	h := newHolding(t, nil)
	for _, request := range []string{
		"HEAD /poll HTTP/1.1\r\n" + pollFields,
		"GET /poll HTTP/1.1\r\n" + pollFields + "Prefer: wait=0\r\n",
		"GET /poll?other HTTP/1.1\r\n" + pollFields,
		"GET /poll HTTP/1.1\r\n" + strings.Replace(pollFields, "browser", "another", 1),
	} {
		c := h.client()
		c.Send(request + "\r\n")
		c.Response(request[:strings.IndexByte(request, ' ')])
	}
	for _, path := range []string{"/page", "/stored"} {
		h := newHolding(t, func(r *rules.Options) { r.Hold = time.Second })
		h.get("GET", path, "Cookie: sid=1")
		c := h.client()
		c.Send("GET " + path + " HTTP/1.1\r\n" + pollFields + "Accept: text/html\r\n\r\n")
		c.Response("GET")
		h.poll(c) // of the page that was just loaded
		c.Response("GET")
		h.ended("timeout", 0)
	}
	h.held(0)
}

// TestHoldPost: a poll by POST is made anew with its body.
func TestHoldPost(t *testing.T) {
	h := newHolding(t, func(r *rules.Options) {
		r.Methods, r.Parts, r.MaxBody = []string{"POST"}, []string{"body", "session"}, 1000
	})
	c := wiretest.Dial(t, h.addr)
	send := func(pieces ...string) {
		c.Send("POST /poll HTTP/1.1\r\n" + pollFields + "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")
		for _, p := range pieces {
			c.Send(p)
		}
	}
	send("abcdef")
	c.Response("POST")
	send("abc", "def")
	h.held(1)
	h.state.Store("two")
	var asked string
	answer := func(_ int64, _ *http.Request, body []byte) []byte { asked = string(body); return ok("two") }
	h.answer.Store(&answer)
	h.store.InvalidateChannel("c")
	if _, body := c.Response("POST"); body != "two" || asked != "abcdef" {
		t.Errorf("%q, asked with %q", body, asked)
	}
}

// TestHoldChunks: the body of a held poll that came in chunks is not read a second time as chunks: what follows them in it would
// be a request.
func TestHoldChunks(t *testing.T) {
	h := newHolding(t, func(r *rules.Options) {
		r.Methods, r.Parts, r.MaxBody = []string{"POST"}, []string{"body", "session"}, 1000
	})
	const body = "1\r\nx\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"
	c := wiretest.Dial(t, h.addr)
	send := func() {
		c.Send("POST /poll HTTP/1.1\r\n" + pollFields + "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	}
	send()
	c.Response("POST")
	send()
	h.held(1)
	var asked string
	answer := func(_ int64, r *http.Request, body []byte) []byte { asked += r.Method + string(body); return ok("two") }
	h.answer.Store(&answer)
	h.store.InvalidateChannel("c")
	if _, got := c.Response("POST"); got != "two" || asked != "POST"+body {
		t.Errorf("%q, asked with %q", got, asked)
	}
	send()
	h.held(1) // nothing else was answered
	if asked != "POST"+body {
		t.Errorf("asked with %q", asked)
	}
}

// TestHoldDrain: a shutdown ends held polls with their answer, and their connections.
func TestHoldDrain(t *testing.T) {
	h := newHolding(t, nil)
	c := h.client()
	h.poll(c)
	h.held(1)
	h.proxy.Drain()
	if r, body := c.Response("GET"); body != "one" || !r.Close {
		t.Errorf("%q, close %v", body, r.Close)
	}
	h.ended("drain", 1)
}

// TestHoldMemory: beyond the limit polls are answered at once.
func TestHoldMemory(t *testing.T) {
	h := newHolding(t, nil, func(o *Options) {
		o.Held = heldpoll.New(heldpoll.Options{Store: o.Cache.Store, MaxBytes: 600, Log: o.Log})
	})
	h.polls = h.proxy.present.Load().o.Held
	first, second := h.client(), h.client()
	h.poll(first)
	h.held(1)
	h.poll(second)
	h.poll(h.client())
	if _, body := second.Response("GET"); body != "one" {
		t.Errorf("%q", body)
	}
	wiretest.Eventually(t, "two are not held", func() bool { return h.polls.Stats().Refused == 2 })
}

// TestHoldMany: many who are held for one URL cost little, and one request of the app when it changes.
func TestHoldMany(t *testing.T) {
	const n = 2000
	h := newHolding(t, nil)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var clients []*wiretest.Client
	for range n {
		clients = append(clients, h.client())
	}
	before := heap()
	for _, c := range clients {
		h.poll(c)
	}
	h.held(n)
	each := (heap() - before) / n
	t.Logf("%d bytes for each that is held, %d counted", each, h.polls.Stats().Bytes/n)
	if each > 800 {
		t.Errorf("%d bytes for each that is held", each)
	}
	h.state.Store("two")
	h.store.InvalidateChannel("c")
	for _, c := range clients {
		if _, body := c.Response("GET"); body != "two" {
			t.Fatalf("%q", body)
		}
	}
	if n := h.asked.Load(); n != 2 {
		t.Errorf("the app was asked %d times", n)
	}
	h.held(0)
	h.ended("changed", n) // and none by its time, though all are of one browser
}
