package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/auth"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// TestVerdictIsRemembered: for the set time or its own, whichever is shorter, and what is left of its own is what is told.
func TestVerdictIsRemembered(t *testing.T) {
	for _, tt := range []struct{ expires, good time.Duration }{
		{0, time.Minute}, {time.Hour, time.Minute}, {10 * time.Second, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) {
				asked++
				return auth.Result{Allowed: true, User: "anna", Expires: tt.expires}, nil
			}, quiet)
			ask := func(want int) auth.Result {
				t.Helper()
				v, err := c.answer(auth.Request{Channels: []string{"a"}, Cookie: "SID=a"}, 1)
				if err != nil || !v.Allowed || v.User != "anna" || asked != want {
					t.Errorf("expires %v: %+v, %v after %d questions; want %d", tt.expires, v, err, asked, want)
				}
				return v
			}
			ask(1)
			time.Sleep(tt.good - 1)
			if v := ask(1); tt.expires > 0 && v.Expires != tt.expires-tt.good+1 {
				t.Errorf("it is said to expire in %v", v.Expires)
			}
			time.Sleep(time.Nanosecond)
			ask(2)
			if hits, misses, _ := c.counts(); hits != 1 || misses != 2 {
				t.Errorf("%d hits, %d misses", hits, misses)
			}
		})
	}
}

// TestOnlyTheSameIsRemembered: what differs in anything that the app is asked with is asked; channels are a set.
func TestOnlyTheSameIsRemembered(t *testing.T) {
	base := auth.Request{
		Channels: []string{"a", "b"}, Host: "h", Cookie: "c", Authorization: "z", UserAgent: "u", AcceptLanguage: "l",
		Proto: "http", ClientAddr: "1", ForwardedFor: "2",
	}
	asked := 0
	c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) { asked++; return auth.Result{Allowed: true}, nil }, quiet)
	want := 0
	ask := func(name string, f func(q *auth.Request), again bool) {
		t.Helper()
		q := base
		f(&q)
		if !again {
			want++
		}
		if _, _ = c.answer(q, 1); asked != want {
			t.Errorf("%s: asked %d times; want %d", name, asked, want)
		}
		asked = want
	}
	ask("first", func(*auth.Request) {}, false)
	ask("the same", func(*auth.Request) {}, true)
	ask("order", func(q *auth.Request) { q.Channels = []string{"b", "a", "b"} }, true)
	for name, f := range map[string]func(q *auth.Request){
		"fewer": func(q *auth.Request) { q.Channels = []string{"a"} }, "more": func(q *auth.Request) { q.Channels = []string{"a", "b", "c"} },
		"joined": func(q *auth.Request) { q.Channels = []string{"ab"} }, "host": func(q *auth.Request) { q.Host = "i" },
		"cookie": func(q *auth.Request) { q.Cookie = "d" }, "authorization": func(q *auth.Request) { q.Authorization = "y" },
		"agent": func(q *auth.Request) { q.UserAgent = "v" }, "language": func(q *auth.Request) { q.AcceptLanguage = "m" },
		"https": func(q *auth.Request) { q.Proto = "https" }, "address": func(q *auth.Request) { q.ClientAddr = "3" },
		"chain": func(q *auth.Request) { q.ForwardedFor = "4" }, "shifted": func(q *auth.Request) { q.Host, q.Cookie = "hc", "" },
	} {
		ask(name, f, false)
	}
}

// TestNoIsNotRemembered, nor is a failure.
func TestNoIsNotRemembered(t *testing.T) {
	var v auth.Result
	var err error
	asked := 0
	c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) { asked++; return v, err }, quiet)
	for i, then := range []func(){
		func() { v = auth.Result{Status: 401} }, func() { v = auth.Result{Status: 403} }, func() { v, err = auth.Result{}, errors.New("down") },
		func() { v, err = auth.Result{Allowed: true}, nil },
	} {
		then()
		if got, e := c.answer(auth.Request{Channels: []string{"a"}}, 0); asked != i+1 || got.Allowed != v.Allowed || got.Status != v.Status || e != err {
			t.Errorf("%d: asked %d times, said %+v, %v", i, asked, got, e)
		}
	}
	if len(c.known) != 1 || c.order.Len() != 1 {
		t.Errorf("%d and %d are remembered", len(c.known), c.order.Len())
	}
}

// TestEqualQuestionsAreAskedOnce, also if asking fails: then all are told.
func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	for name, end := range map[string]func() (auth.Result, error){
		"yes":   func() (auth.Result, error) { return auth.Result{Allowed: true, User: "anna"}, nil },
		"no":    func() (auth.Result, error) { return auth.Result{Status: 403}, nil },
		"fails": func() (auth.Result, error) { return auth.Result{}, errNotAsked },
		"panic": func() (auth.Result, error) { panic("oh") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) {
				asked.Add(1)
				time.Sleep(time.Second)
				return end()
			}, quiet)
			said := map[string]int{}
			var mu sync.Mutex
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() {
					defer func() { _ = recover() }()
					v, err := c.answer(auth.Request{Channels: []string{"a"}}, 7)
					mu.Lock()
					said[fmt.Sprint(v.Allowed, v.User, v.Status, err)]++
					mu.Unlock()
				})
			}
			group.Wait()
			if asked.Load() != 1 || len(said) != 1 {
				t.Errorf("%s: asked %d times, said %v", name, asked.Load(), said)
			}
			if name != "yes" && len(c.known) != 0 {
				t.Errorf("%s: remembered", name)
			}
		})
	}
}

// TestDroppedWhileAsked: what is dropped is not remembered, not given to who asks later, and not missed by who waits.
func TestDroppedWhileAsked(t *testing.T) {
	for name, drop := range map[string]func(c *verdicts){
		"session": func(c *verdicts) { c.dropCredential(7) },
		"user":    func(c *verdicts) { c.dropWhat("anna", "") },
		"channel": func(c *verdicts) { c.dropWhat("", "a") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) {
				n := asked.Add(1)
				time.Sleep(time.Second)
				if n > 1 {
					return auth.Result{Status: 401}, nil
				}
				return auth.Result{Allowed: true, User: "anna"}, nil
			}, quiet)
			q := auth.Request{Channels: []string{"a"}}
			var before, after auth.Result
			var group sync.WaitGroup
			group.Go(func() { before, _ = c.answer(q, 7) })
			synctest.Wait()
			drop(c)
			group.Go(func() { after, _ = c.answer(q, 7) })
			group.Wait()
			if !before.Allowed || after.Allowed || asked.Load() != 2 || len(c.known) != 0 || c.size != 0 {
				t.Errorf("%s: %+v before, %+v after, asked %d times, %d remembered", name, before, after, asked.Load(), len(c.known))
			}
		})
	}
}

// TestDrop forgets what is meant, and nothing else.
func TestDrop(t *testing.T) {
	c := newVerdicts(time.Minute, func(q auth.Request) (auth.Result, error) { return auth.Result{Allowed: true, User: q.Cookie}, nil }, quiet)
	fill := func() {
		for i, user := range []string{"anna", "bert"} {
			for _, channel := range []string{"a", "b"} {
				_, _ = c.answer(auth.Request{Channels: []string{channel}, Cookie: user}, uint64(i+1))
			}
		}
	}
	for name, tt := range map[string]struct {
		drop func()
		left int
	}{
		"session": {func() { c.dropCredential(1) }, 2}, "no session": {func() { c.dropCredential(0) }, 4},
		"user": {func() { c.dropWhat("bert", "") }, 2}, "channel": {func() { c.dropWhat("", "b") }, 2},
		"both": {func() { c.dropWhat("anna", "a") }, 3}, "nobody": {func() { c.dropWhat("eve", "") }, 4},
		"question": {func() { c.dropQuestion(&auth.Request{Channels: []string{"a"}}, 0, "") }, 2},
	} {
		fill()
		if tt.drop(); c.order.Len() != tt.left {
			t.Errorf("%s: %d are left; want %d", name, c.order.Len(), tt.left)
		}
	}
	var none *verdicts
	none.dropCredential(1)
	none.dropWhat("", "")
}

// TestVerdictsAreBounded: the oldest goes first, what is old goes too, and the log says so.
func TestVerdictsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		asked := 0
		c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) { asked++; return auth.Result{Allowed: true}, nil },
			slog.New(slog.NewTextHandler(&log, nil)))
		c.bytes = 10 * (verdictCost + 17)
		ask := func(i int) { _, _ = c.answer(auth.Request{Channels: []string{"a"}, Cookie: fmt.Sprint(i)}, uint64(i)) }
		for i := range 100 {
			ask(i)
		}
		if _, _, evicted := c.counts(); c.order.Len() != 10 || len(c.known) != 10 || c.size > c.bytes || evicted != 90 {
			t.Errorf("%d and %d are remembered, %d bytes, %d evicted", c.order.Len(), len(c.known), c.size, evicted)
		}
		if ask(99); asked != 100 {
			t.Error("the newest is not remembered")
		}
		if n := bytes.Count(log.Bytes(), []byte("push.authorize_cache")); n != 1 {
			t.Errorf("the log has it %d times", n)
		}
		time.Sleep(time.Minute)
		if ask(1000); c.order.Len() != 1 || len(c.known) != 1 {
			t.Errorf("%d and %d are remembered when all are old", c.order.Len(), len(c.known))
		}
	})
}

// TestVerdictsKeepNoSecret: of a cookie there is nothing but a hash.
func TestVerdictsKeepNoSecret(t *testing.T) {
	c := newVerdicts(time.Minute, func(auth.Request) (auth.Result, error) { return auth.Result{Allowed: true}, nil }, quiet)
	_, _ = c.answer(auth.Request{Channels: []string{"a"}, Cookie: "SID=s3cret", Authorization: "Bearer s3cret"}, 1)
	for _, of := range c.known {
		for _, a := range of {
			if text := fmt.Sprintf("%+v", *a); bytes.Contains([]byte(text), []byte("s3cret")) {
				t.Error(text)
			}
		}
	}
}

// TestEndings has what it remembers, and says yes of what it does not know any more.
func TestEndings(t *testing.T) {
	var e endings
	e.add(0)
	if e.now() != 0 {
		t.Error("nobody's end is remembered")
	}
	e.add(5)
	if then := e.now(); e.since(then, 5) || !e.since(then-1, 0, 5) || e.since(0, 0, 6) {
		t.Error("an end is not where it is")
	}
	for range len(e.last) {
		e.add(9)
	}
	if n := e.now(); !e.since(0, 6) || e.since(0, 0) || e.since(1, 5) || !e.since(n-1, 9) {
		t.Error("what is not known any more is")
	}
}
