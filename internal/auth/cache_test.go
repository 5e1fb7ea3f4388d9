package auth

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
)

// askFunc is an app.
type askFunc func(Request) (Result, error)

func (f askFunc) Authorize(q Request) (Result, error) { return f(q) }

func newCache(age time.Duration, app askFunc, log *slog.Logger) *Cache {
	return NewCache(age, app, log)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// TestCacheAge: an entry is good for the set time or its own, whichever is shorter, and what is left of its own is what is told.
func TestCacheAge(t *testing.T) {
	for _, tt := range []struct{ expires, good time.Duration }{
		{0, time.Minute}, {time.Hour, time.Minute}, {10 * time.Second, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c := newCache(time.Minute, func(Request) (Result, error) {
				asked++
				return Result{Allowed: true, User: "anna", Expires: tt.expires}, nil
			}, quiet)
			ask := func(want int) Result {
				t.Helper()
				v, err := c.Authorize(Request{Channels: []string{"a"}, Cookie: "SID=a"}, 1)
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
			if hits, misses, _ := c.Counts(); hits != 1 || misses != 2 {
				t.Errorf("%d hits, %d misses", hits, misses)
			}
		})
	}
}

// TestCacheKey: what differs in anything that the app is asked with is asked; channels are a set.
func TestCacheKey(t *testing.T) {
	base := Request{
		Channels: []string{"a", "b"}, Host: "h", Cookie: "c", Authorization: "z", UserAgent: "u", AcceptLanguage: "l",
		Proto: "http", ClientAddr: "1", ForwardedFor: "2",
	}
	asked := 0
	c := newCache(time.Minute, func(Request) (Result, error) { asked++; return Result{Allowed: true}, nil }, quiet)
	want := 0
	ask := func(name string, f func(q *Request), again bool) {
		t.Helper()
		q := base
		f(&q)
		if !again {
			want++
		}
		if _, _ = c.Authorize(q, 1); asked != want {
			t.Errorf("%s: asked %d times; want %d", name, asked, want)
		}
		asked = want
	}
	ask("first", func(*Request) {}, false)
	ask("the same", func(*Request) {}, true)
	ask("order", func(q *Request) { q.Channels = []string{"b", "a", "b"} }, true)
	for name, f := range map[string]func(q *Request){
		"fewer": func(q *Request) { q.Channels = []string{"a"} }, "more": func(q *Request) { q.Channels = []string{"a", "b", "c"} },
		"joined": func(q *Request) { q.Channels = []string{"ab"} }, "host": func(q *Request) { q.Host = "i" },
		"cookie": func(q *Request) { q.Cookie = "d" }, "authorization": func(q *Request) { q.Authorization = "y" },
		"agent": func(q *Request) { q.UserAgent = "v" }, "language": func(q *Request) { q.AcceptLanguage = "m" },
		"https": func(q *Request) { q.Proto = "https" }, "address": func(q *Request) { q.ClientAddr = "3" },
		"chain": func(q *Request) { q.ForwardedFor = "4" }, "shifted": func(q *Request) { q.Host, q.Cookie = "hc", "" },
	} {
		ask(name, f, false)
	}
}

// TestCacheKeepsOnlyYes: neither a no nor a failure is kept.
func TestCacheKeepsOnlyYes(t *testing.T) {
	var v Result
	var err error
	asked := 0
	c := newCache(time.Minute, func(Request) (Result, error) { asked++; return v, err }, quiet)
	for i, then := range []func(){
		func() { v = Result{Status: 401} }, func() { v = Result{Status: 403} }, func() { v, err = Result{}, errors.New("down") },
		func() { v, err = Result{Allowed: true}, nil },
	} {
		then()
		if got, e := c.Authorize(Request{Channels: []string{"a"}}, 0); asked != i+1 || got.Allowed != v.Allowed || got.Status != v.Status || e != err {
			t.Errorf("%d: asked %d times, said %+v, %v", i, asked, got, e)
		}
	}
	if len(c.entries) != 1 || c.order.Len() != 1 {
		t.Errorf("%d and %d are remembered", len(c.entries), c.order.Len())
	}
}

// TestCacheCoalesces equal requests, also if asking fails: then all are told.
func TestCacheCoalesces(t *testing.T) {
	for name, end := range map[string]func() (Result, error){
		"yes":   func() (Result, error) { return Result{Allowed: true, User: "anna"}, nil },
		"no":    func() (Result, error) { return Result{Status: 403}, nil },
		"fails": func() (Result, error) { return Result{}, errNoAnswer },
		"panic": func() (Result, error) { panic("oh") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			c := newCache(time.Minute, func(Request) (Result, error) {
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
					v, err := c.Authorize(Request{Channels: []string{"a"}}, 7)
					mu.Lock()
					said[fmt.Sprint(v.Allowed, v.User, v.Status, err)]++
					mu.Unlock()
				})
			}
			group.Wait()
			if asked.Load() != 1 || len(said) != 1 {
				t.Errorf("%s: asked %d times, said %v", name, asked.Load(), said)
			}
			if name != "yes" && len(c.entries) != 0 {
				t.Errorf("%s: remembered", name)
			}
		})
	}
}

// TestCacheEvictsInFlight: what is evicted is not kept, not given to who asks later, and not missed by who waits.
func TestCacheEvictsInFlight(t *testing.T) {
	for name, drop := range map[string]func(c *Cache){
		"session": func(c *Cache) { c.EvictCredential(7) },
		"user":    func(c *Cache) { c.EvictMatching("anna", "") },
		"channel": func(c *Cache) { c.EvictMatching("", "a") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			c := newCache(time.Minute, func(Request) (Result, error) {
				n := asked.Add(1)
				time.Sleep(time.Second)
				if n > 1 {
					return Result{Status: 401}, nil
				}
				return Result{Allowed: true, User: "anna"}, nil
			}, quiet)
			q := Request{Channels: []string{"a"}}
			var before, after Result
			var group sync.WaitGroup
			group.Go(func() { before, _ = c.Authorize(q, 7) })
			synctest.Wait()
			drop(c)
			group.Go(func() { after, _ = c.Authorize(q, 7) })
			group.Wait()
			if !before.Allowed || after.Allowed || asked.Load() != 2 || len(c.entries) != 0 || c.size != 0 {
				t.Errorf("%s: %+v before, %+v after, asked %d times, %d remembered", name, before, after, asked.Load(), len(c.entries))
			}
		})
	}
}

// TestCacheEvicts what is meant, and nothing else.
func TestCacheEvicts(t *testing.T) {
	c := newCache(time.Minute, func(q Request) (Result, error) { return Result{Allowed: true, User: q.Cookie}, nil }, quiet)
	fill := func() {
		for i, user := range []string{"anna", "bert"} {
			for _, channel := range []string{"a", "b"} {
				_, _ = c.Authorize(Request{Channels: []string{channel}, Cookie: user}, uint64(i+1))
			}
		}
	}
	for name, tt := range map[string]struct {
		drop func()
		left int
	}{
		"session": {func() { c.EvictCredential(1) }, 2}, "no session": {func() { c.EvictCredential(0) }, 4},
		"user": {func() { c.EvictMatching("bert", "") }, 2}, "channel": {func() { c.EvictMatching("", "b") }, 2},
		"both": {func() { c.EvictMatching("anna", "a") }, 3}, "nobody": {func() { c.EvictMatching("eve", "") }, 4},
		"question": {func() { c.EvictClient(&Request{Channels: []string{"a"}}, 0, "") }, 2},
	} {
		fill()
		if tt.drop(); c.order.Len() != tt.left {
			t.Errorf("%s: %d are left; want %d", name, c.order.Len(), tt.left)
		}
	}
	var none *Cache
	none.EvictCredential(1)
	none.EvictMatching("", "")
}

// TestCacheBounds: the oldest goes first, what is old goes too, and the log says so.
func TestCacheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		asked := 0
		c := newCache(time.Minute, func(Request) (Result, error) { asked++; return Result{Allowed: true}, nil },
			slog.New(slog.NewTextHandler(&log, nil)))
		c.bytes = 10 * (entryCost + 17)
		ask := func(i int) { _, _ = c.Authorize(Request{Channels: []string{"a"}, Cookie: fmt.Sprint(i)}, uint64(i)) }
		for i := range 100 {
			ask(i)
		}
		if _, _, evicted := c.Counts(); c.order.Len() != 10 || len(c.entries) != 10 || c.size > c.bytes || evicted != 90 {
			t.Errorf("%d and %d are remembered, %d bytes, %d evicted", c.order.Len(), len(c.entries), c.size, evicted)
		}
		if ask(99); asked != 100 {
			t.Error("the newest is not remembered")
		}
		if n := bytes.Count(log.Bytes(), []byte("push.authorize_cache")); n != 1 {
			t.Errorf("the log has it %d times", n)
		}
		time.Sleep(time.Minute)
		if ask(1000); c.order.Len() != 1 || len(c.entries) != 1 {
			t.Errorf("%d and %d are remembered when all are old", c.order.Len(), len(c.entries))
		}
	})
}

// TestCacheKeepsNoSecret: of a cookie there is nothing but a hash.
func TestCacheKeepsNoSecret(t *testing.T) {
	c := newCache(time.Minute, func(Request) (Result, error) { return Result{Allowed: true}, nil }, quiet)
	_, _ = c.Authorize(Request{Channels: []string{"a"}, Cookie: "SID=s3cret", Authorization: "Bearer s3cret"}, 1)
	for _, of := range c.entries {
		for _, a := range of {
			if text := fmt.Sprintf("%+v", *a); bytes.Contains([]byte(text), []byte("s3cret")) {
				t.Error(text)
			}
		}
	}
}
