package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/cache/fetch"
	"holdfast/internal/wiretest"
)

// TestSlowReaderHoldsUpNobody: a client that asks the app for all and reads nothing of the response has nobody wait. It would
// be for ten minutes.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	a := newAbsorbed(t, "polls: [{match: /large, shared: true, fresh: 1h, max_size: 16MB}]\ncache_limits: {wait: 10m}\n")
	body := strings.Repeat("x", 12<<20)
	a.app.responds(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
	slow := wiretest.Dial(t, a.s.Addr().String())
	slow.Send("GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n")
	wiretest.Eventually(t, "the app is asked", func() bool { return a.app.count() == 1 })
	if text, status := a.ask("", "GET", "/large", ""); text != body || a.app.count() != 1 {
		t.Errorf("%d bytes, %q, after %d requests to the app", len(text), status, a.app.count())
	}
	slow.Close()
}

// TestOwnChangeIsSeen: users poll, write and log out at random and at once. No answer is another user's, and none is older
// than what the same user has written before it was asked for.
func TestOwnChangeIsSeen(t *testing.T) {
	a := newAbsorbed(t, absorbConfig)
	var versions sync.Map // of users: what the app has
	version := func(user string) *atomic.Int64 {
		v, _ := versions.LoadOrStore(user, new(atomic.Int64))
		return v.(*atomic.Int64)
	}
	a.app.responds(func(w http.ResponseWriter, r *http.Request) {
		user := "nobody"
		if c, err := r.Cookie("sid"); err == nil {
			user = c.Value
		}
		v := version(user)
		text, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/save" || strings.Contains(string(text), "draft") {
			v.Add(1)
		}
		fmt.Fprintf(w, "%s %d", user, v.Load())
	})
	var group sync.WaitGroup
	var hits atomic.Int64
	for tab := range 12 {
		user := fmt.Sprintf("user%d", tab%4)
		random := rand.New(rand.NewPCG(1, uint64(tab)))
		group.Go(func() {
			for i := range 60 {
				method, target, body := "GET", fmt.Sprintf("/status.php?id=%d", random.IntN(2)), ""
				switch random.IntN(12) {
				case 0:
					method, target, body = "POST", "/save", "x=1"
				case 1:
					method, target, body = "POST", "/beat", fmt.Sprintf("draft=%d.%d", tab, i)
				case 2:
					target = "/out"
				case 3, 4:
					method, target, body = "POST", "/beat", "tab=1"
				}
				text, status := a.ask(user, method, target, body)
				var got string
				var at int64
				if _, err := fmt.Sscan(text, &got, &at); err != nil || got != user {
					t.Errorf("%s of %s: %q, %v", target, user, text, err)
				}
				if strings.HasPrefix(status, "hit") {
					hits.Add(1)
				}
				if method == "GET" || body == "tab=1" {
					continue
				}
				text, _ = a.ask(user, "GET", "/status.php?id=0", "")
				var now int64
				if _, err := fmt.Sscan(text, &got, &now); err != nil || got != user || now < at {
					t.Errorf("after %s brought %s %d: %q, %v", target, user, at, text, err)
				}
			}
		})
	}
	group.Wait()
	if hits.Load() < 50 {
		t.Errorf("%d hits", hits.Load())
	}
}

// TestColdKey: a thousand ask at once for what is not stored. The app is asked once. If its response can't be for all, or never
// comes, all others ask at once: none of them is behind another.
func TestColdKey(t *testing.T) {
	const clients = 1000
	const polls, cache, patient, short = "polls: [{match: /, shared: true, fresh: 1h}]\n", "cache: [{match: /, shared: true, fresh: 1h}]\n", "cache_limits: {wait: 10m}\n", "cache_limits: {wait: 500ms}\n"
	for _, tt := range []struct {
		name, config string
		respond      func(h http.Header) (status int)
		status       int // that the clients get; 0: none that is whole
		tries        int // that the app answers before all others ask; 0: it answers none before that
		alone        bool
	}{
		{"a response", polls + patient, func(http.Header) int { return 200 }, 200, 1, false},
		{"an error", polls + patient, func(http.Header) int { return 500 }, 500, 1, false},
		{"a cookie", polls + patient, func(h http.Header) int { h.Set("Set-Cookie", "a=b"); return 200 }, 200, 1, true},
		{"no-store", cache + patient, func(h http.Header) int { h.Set("Cache-Control", "no-store"); return 200 }, 200, 1, true},
		{"an unknown status", polls + patient, func(http.Header) int { return 402 }, 402, 1, true},
		{"a cut", polls + patient, func(h http.Header) int { h.Set("Content-Length", "100"); return 200 }, 0, 2, true},
		{"nothing", polls + short, func(http.Header) int { return 200 }, 200, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAbsorbed(t, tt.config)
			first, rest := make(chan struct{}), make(chan struct{})
			answerFirst, answerRest := sync.OnceFunc(func() { close(first) }), sync.OnceFunc(func() { close(rest) })
			defer answerRest() // also if the test fails, or the app would not end
			defer answerFirst()
			var asked atomic.Int64
			a.app.responds(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= int64(tt.tries) {
					<-first
				} else {
					<-rest
				}
				w.WriteHeader(tt.respond(w.Header()))
				io.WriteString(w, "state")
			})
			var group sync.WaitGroup
			for range clients {
				group.Go(func() {
					r, err := http.Get("http://" + a.s.Addr().String() + "/")
					if err != nil {
						if tt.status > 0 { // a reset may overtake what was sent before it
							t.Error(err)
						}
						return
					}
					body, err := io.ReadAll(r.Body)
					r.Body.Close()
					if tt.status == 0 && err == nil || tt.status > 0 && (err != nil || r.StatusCode != tt.status || string(body) != "state") {
						t.Errorf("got %d %q, %v", r.StatusCode, body, err)
					}
				})
			}
			if tt.tries > 0 { // if not, those who come late may find that the first is too old to wait for
				wiretest.Eventually(t, "all others wait", func() bool { return a.s.cache.Store.Stats().Waits == clients-1 })
			}
			answerFirst()
			if want := int64(clients); tt.alone {
				wiretest.Eventually(t, "all others ask, and nobody is answered before that", func() bool { return asked.Load() == want })
				answerRest()
			}
			group.Wait()
			if n := asked.Load(); !tt.alone && n != 1 {
				t.Errorf("the app is asked %d times", n)
			}
		})
	}
}

// TestOtherForms: what is no poll by its fields reaches the app each time and ends the session's responses. A rule that never
// finds its fields is logged, one that does is not.
func TestOtherForms(t *testing.T) {
	for _, tt := range []struct {
		field  string
		hit    bool
		logged int
	}{{"action", true, 0}, {"acton", false, 1}} {
		a := newAbsorbed(t, "push: {logout: {cookies: [sid]}}\npolls: [{match: /ajax, methods: [POST], form: ["+tt.field+"=beat], key: [body, -body.time, session], fresh: 1h}]\n")
		a.ask("ann", "POST", "/ajax", "action=beat&time=1")
		a.ask("bob", "POST", "/ajax", "action=beat&time=1")
		for i := range fetch.LeastUseless {
			if _, status := a.ask("ann", "POST", "/ajax", fmt.Sprint("action=beat&time=", i)); i > 0 && strings.HasPrefix(status, "hit") != tt.hit {
				t.Errorf("%s: poll %d: %s", tt.field, i, status)
			}
		}
		for range 2 {
			if _, status := a.ask("ann", "POST", "/ajax", "action=pay"); status != "fwd=bypass; detail=form" {
				t.Errorf("%s: another form: %s", tt.field, status)
			}
		}
		if _, status := a.ask("ann", "POST", "/ajax", "action=beat"); strings.HasPrefix(status, "hit") {
			t.Errorf("%s: after it: %s", tt.field, status)
		}
		if _, status := a.ask("bob", "POST", "/ajax", "action=beat&time=2"); strings.HasPrefix(status, "hit") != tt.hit {
			t.Errorf("%s: another session after it: %s", tt.field, status)
		}
		a.s.cache.sweep(time.Now(), a.s.log)
		if n := strings.Count(a.log.String(), "reason=form see=form"); n != tt.logged {
			t.Errorf("%s: %d lines in\n%s", tt.field, n, a.log)
		}
	}
}
