package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/cache/rules"
	"holdfast/internal/wiretest"
)

// cachedApp is an app behind a cache with the given rules.
type cachedApp struct {
	t      *testing.T
	addr   string
	proxy  *Proxy
	store  *cache.Store
	asked  atomic.Int64
	answer atomic.Pointer[func(n int64, r *http.Request, body []byte) []byte]
}

func newCachedApp(t *testing.T, list []rules.Options, answer func(n int64, r *http.Request, body []byte) []byte, change ...func(*Options)) *cachedApp {
	t.Helper()
	h := cache.NewHasher()
	set, err := rules.New(list, []string{"sid"}, h)
	if err != nil {
		t.Fatal(err)
	}
	a := &cachedApp{t: t, store: cache.NewStore(cache.Options{}, h)}
	a.answer.Store(&answer)
	up := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		return (*a.answer.Load())(a.asked.Add(1), r, body)
	}))
	a.addr, a.proxy = start(t, up.Addr, func(o *Options) {
		o.RequestBuffer = 64 << 10
		o.Cache = &fetch.Cache{Rules: set, Store: a.store, Wait: wiretest.Timeout}
		o.Rules = set.Whole()
		for _, f := range change {
			f(o)
		}
	})
	return a
}

// get sends a request with the given lines behind Host, and returns its response.
func (a *cachedApp) get(method, target string, fields ...string) (*http.Response, string) {
	a.t.Helper()
	c := wiretest.Dial(a.t, a.addr)
	body := ""
	if method == "POST" {
		body = "q=1"
		fields = append(fields, "Content-Type: application/x-www-form-urlencoded", "Content-Length: 3")
	}
	c.Send(lines(append([]string{method + " " + target + " HTTP/1.1", "Host: app.test"}, fields...)...) + body)
	return c.Response(method)
}

// want checks the body of a response, its status, and what Cache-Status begins with.
func (a *cachedApp) want(r *http.Response, body string, status int, wantBody, cacheStatus string) {
	a.t.Helper()
	if r.StatusCode != status || body != wantBody || !strings.HasPrefix(r.Header.Get("Cache-Status"), "holdfast; "+cacheStatus) {
		a.t.Fatalf("got %d %q, Cache-Status %q; want %d %q, %q", r.StatusCode, body, r.Header.Get("Cache-Status"), status, wantBody, cacheStatus)
	}
}

func numbered(fields string) func(n int64, r *http.Request, body []byte) []byte {
	return func(n int64, r *http.Request, _ []byte) []byte {
		text := fmt.Sprintf("%s %d", r.RequestURI, n)
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(text), text)
	}
}

var poll = []rules.Options{{Name: "poll", Match: "/poll", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}

func TestCache(t *testing.T) {
	t.Run("a second request is a hit", func(t *testing.T) {
		a := newCachedApp(t, poll, numbered("Cache-Control: no-store\r\nX-App: 1\r\n"))
		r, body := a.get("GET", "/poll?id=1")
		a.want(r, body, 200, "/poll?id=1 1", "fwd=uri-miss; stored")
		r, body = a.get("GET", "/poll?id=1")
		a.want(r, body, 200, "/poll?id=1 1", "hit")
		if r.Header.Get("X-App") != "1" || r.Header.Get("Age") == "" || r.Header.Get("Date") == "" {
			t.Errorf("fields of a hit: %v", r.Header)
		}
		r, body = a.get("GET", "/poll?id=2")
		a.want(r, body, 200, "/poll?id=2 2", "fwd=uri-miss; stored")
		r, body = a.get("HEAD", "/poll?id=1")
		a.want(r, body, 200, "", "hit")
		r, body = a.get("GET", "/other")
		if r.Header.Get("Cache-Status") != "" || body != "/other 3" {
			t.Errorf("a path without a rule: %v, %q", r.Header, body)
		}
	})
	t.Run("chunks", func(t *testing.T) {
		a := newCachedApp(t, poll, func(int64, *http.Request, []byte) []byte {
			return []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
		})
		r, body := a.get("GET", "/poll")
		a.want(r, body, 200, "abcde", "fwd=uri-miss; stored")
		r, body = a.get("GET", "/poll")
		a.want(r, body, 200, "abcde", "hit")
		if r.ContentLength != 5 {
			t.Errorf("a hit has the length %d", r.ContentLength)
		}
	})
	t.Run("conditions", func(t *testing.T) {
		var asked string
		a := newCachedApp(t, poll, func(n int64, r *http.Request, _ []byte) []byte {
			asked = r.Header.Get("If-None-Match")
			return []byte("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc")
		})
		r, body := a.get("GET", "/poll", `If-None-Match: "v1"`)
		a.want(r, body, 304, "", "fwd=uri-miss; stored")
		if asked != "" {
			t.Errorf("the app was asked with If-None-Match: %s", asked)
		}
		if r.Header.Get("ETag") != `"v1"` || r.Header.Get("Content-Type") != "" || r.Header.Get("Content-Length") != "" {
			t.Errorf("fields of a 304: %v", r.Header)
		}
		r, body = a.get("GET", "/poll", `If-None-Match: W/"v1"`)
		a.want(r, body, 304, "", "hit")
		r, body = a.get("GET", "/poll", `If-None-Match: "v0"`)
		a.want(r, body, 200, "abc", "hit")
		if a.asked.Load() != 1 {
			t.Errorf("the app was asked %d times", a.asked.Load())
		}
	})
	t.Run("conditions where nothing is kept", func(t *testing.T) {
		var asked []string
		a := newCachedApp(t, poll, func(n int64, r *http.Request, body []byte) []byte {
			if asked = append(asked, r.Header.Get("If-None-Match")); asked[len(asked)-1] != "" {
				return []byte("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n")
			}
			return numbered("Set-Cookie: x=1\r\nETag: \"v1\"\r\n")(n, r, body)
		})
		for range 2 {
			r, body := a.get("GET", "/poll", `If-None-Match: "v1"`)
			a.want(r, body, 304, "", "fwd=")
		}
		if !slices.Equal(asked, []string{"", `"v1"`}) { // it is the app that says so, once it is known that others do not wait
			t.Errorf("the app was asked with %q", asked)
		}
	})
	t.Run("a 304 that sets a cookie", func(t *testing.T) {
		list := []rules.Options{{Name: "p", Match: "/poll", MaxBytes: 100, Policy: cache.Policy{Fresh: time.Nanosecond, IgnoreApp: true, Revalidate: time.Hour}}}
		a := newCachedApp(t, list, func(n int64, r *http.Request, _ []byte) []byte {
			if r.Header.Get("If-None-Match") != "" {
				return []byte("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nSet-Cookie: sid=new\r\n\r\n")
			}
			return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\n%sContent-Length: 1\r\n\r\n%d", strings.Repeat("Set-Cookie: sid=new\r\n", min(int(n)-1, 1)), n)
		})
		a.get("GET", "/poll")
		if r, body := a.get("GET", "/poll"); r.StatusCode != 200 || body != "3" || r.Header.Get("Set-Cookie") != "sid=new" {
			t.Errorf("%d %q, %v", r.StatusCode, body, r.Header)
		}
	})
	t.Run("a field that is not to be used again", func(t *testing.T) {
		rest := make(chan struct{})
		up := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
			c.Read(make([]byte, 4096))
			c.Write([]byte("HTTP/1.1 200 OK\r\nCache-Control: max-age=60, no-cache=\"X-User\"\r\nX-User: anna\r\nContent-Length: 300\r\n\r\n"))
			<-rest
			c.Write([]byte(strings.Repeat("y", 300)))
		})
		h := cache.NewHasher()
		set, err := rules.New([]rules.Options{{Name: "c", Match: "/", MaxBytes: 1000}}, nil, h)
		if err != nil {
			t.Fatal(err)
		}
		addr, _ := start(t, up.Addr, func(o *Options) {
			o.Cache = &fetch.Cache{Rules: set, Store: cache.NewStore(cache.Options{}, h), Wait: wiretest.Timeout}
			o.Rules = set.Whole()
		})
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: app.test"))
		c.Expect("HTTP/1.1 200 OK\r\n") // the head has come alone
		close(rest)
		for range 2 {
			second := wiretest.Dial(t, addr)
			second.Send(lines("GET / HTTP/1.1", "Host: app.test"))
			if r, body := second.Response("GET"); len(body) != 300 || r.Header.Get("X-User") != "" {
				t.Errorf("%d bytes, %v", len(body), r.Header)
			}
		}
	})
	t.Run("a large body for a client that is slow", func(t *testing.T) {
		list := []rules.Options{{Name: "p", Match: "/poll", MaxBytes: 8 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}
		large := strings.Repeat("0123456789abcdef", 400_000)
		a := newCachedApp(t, list, func(int64, *http.Request, []byte) []byte { return ok(large) })
		a.get("GET", "/poll")
		c := wiretest.Dial(t, a.addr)
		c.Send(lines("GET /poll HTTP/1.1", "Host: app.test"))
		if _, err := c.Reader.Peek(1); err != nil {
			t.Fatal(err)
		}
		if n := a.proxy.buffered.Load(); n > 0 { // what waits for the client is the stored body itself
			t.Errorf("%d bytes were copied for it", n)
		}
		if r, body := c.Response("GET"); body != large || !strings.HasPrefix(r.Header.Get("Cache-Status"), "holdfast; hit") {
			t.Errorf("%d bytes, %v", len(body), r.Header)
		}
	})
	t.Run("what is not kept", func(t *testing.T) {
		a := newCachedApp(t, poll, numbered("Set-Cookie: x=1\r\n"))
		r, body := a.get("GET", "/poll")
		a.want(r, body, 200, "/poll 1", "fwd=uri-miss; detail=set_cookie")
		r, body = a.get("GET", "/poll")
		a.want(r, body, 200, "/poll 2", "fwd=")
	})
	t.Run("sessions", func(t *testing.T) {
		a := newCachedApp(t, poll, numbered(""))
		r, body := a.get("GET", "/poll", "Cookie: sid=anna")
		a.want(r, body, 200, "/poll 1", "fwd=uri-miss; stored")
		r, body = a.get("GET", "/poll", "Cookie: sid=bob")
		a.want(r, body, 200, "/poll 2", "fwd=uri-miss; stored")
		r, body = a.get("GET", "/poll", "Cookie: other=1; sid=anna")
		a.want(r, body, 200, "/poll 1", "hit")
		a.get("POST", "/change", "Cookie: sid=anna")
		r, body = a.get("GET", "/poll", "Cookie: sid=bob")
		a.want(r, body, 200, "/poll 2", "hit")
		r, body = a.get("GET", "/poll", "Cookie: sid=anna")
		a.want(r, body, 200, "/poll 4", "fwd=uri-miss; stored")
	})
	t.Run("a cut response is not kept", func(t *testing.T) {
		a := newCachedApp(t, poll, numbered(""))
		cut := func(n int64, r *http.Request, _ []byte) []byte {
			return []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno length\r\n")
		}
		whole := a.answer.Swap(&cut)
		c := wiretest.Dial(t, a.addr)
		c.Send(lines("GET /poll HTTP/1.1", "Host: app.test"))
		if all, reset := c.Rest(); !reset {
			t.Errorf("a cut response ended plainly: %q", all)
		}
		a.answer.Store(whole)
		r, body := a.get("GET", "/poll")
		a.want(r, body, 200, "/poll 2", "fwd=uri-miss; stored")
	})
	t.Run("the app fails", func(t *testing.T) {
		list := []rules.Options{{Name: "p", Match: "/poll", MaxBytes: 100, Policy: cache.Policy{Fresh: time.Nanosecond, IgnoreApp: true, Fail: time.Hour}}}
		a := newCachedApp(t, list, numbered(""))
		a.get("GET", "/poll")
		fails := func(int64, *http.Request, []byte) []byte {
			return []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		}
		a.answer.Store(&fails)
		r, body := a.get("GET", "/poll")
		a.want(r, body, 200, "/poll 1", "hit; ttl=-1")
		ends := func(int64, *http.Request, []byte) []byte { return nil }
		a.answer.Store(&ends)
		r, body = a.get("GET", "/poll?x")
		if r.StatusCode != 502 {
			t.Errorf("nothing is stored: %d %q", r.StatusCode, body)
		}
	})
	t.Run("validated", func(t *testing.T) {
		list := []rules.Options{{Name: "p", Match: "/poll", MaxBytes: 100, Policy: cache.Policy{Fresh: time.Nanosecond, IgnoreApp: true, Revalidate: time.Hour}}}
		a := newCachedApp(t, list, func(n int64, r *http.Request, _ []byte) []byte {
			if r.Header.Get("If-None-Match") == `"v1"` {
				return []byte("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nX-Seen: 1\r\n\r\n")
			}
			return []byte("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 3\r\n\r\nabc")
		})
		a.get("GET", "/poll")
		r, body := a.get("GET", "/poll")
		a.want(r, body, 200, "abc", "fwd=stale; fwd-status=304")
		if r.Header.Get("X-Seen") != "1" {
			t.Errorf("the fields of the 304 are not there: %v", r.Header)
		}
	})
	t.Run("a body in the key", func(t *testing.T) {
		list := []rules.Options{{Name: "p", Match: "/poll", Methods: []string{"POST"}, Parts: []string{"body", "session"}, MaxBytes: 100, MaxBody: 100, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}
		a := newCachedApp(t, list, func(n int64, r *http.Request, body []byte) []byte { return ok(fmt.Sprintf("%s %d", body, n)) })
		send := func(body string) (*http.Response, string) {
			c := wiretest.Dial(t, a.addr)
			c.Send(lines("POST /poll HTTP/1.1", "Host: app.test", "Content-Type: text/plain", fmt.Sprintf("Content-Length: %d", len(body))) + body[:1])
			c.Send(body[1:])
			return c.Response("POST")
		}
		r, body := send("abc")
		a.want(r, body, 200, "abc 1", "fwd=uri-miss; stored")
		r, body = send("abc")
		a.want(r, body, 200, "abc 1", "hit")
		r, body = send("abd")
		a.want(r, body, 200, "abd 2", "fwd=uri-miss; stored")
	})
}

// TestCacheCollapses has many ask for the same at once, while the app takes its time.
func TestCacheCollapses(t *testing.T) {
	const clients = 50
	for _, test := range []struct {
		name, fields string
		status       int
		asked        int64 // at most
	}{
		{"kept", "", 200, 1},
		{"an error is given to all", "", 500, 1},
		{"not kept: each asks itself", "Set-Cookie: a=b\r\n", 200, clients},
	} {
		t.Run(test.name, func(t *testing.T) {
			release := make(chan struct{})
			a := newCachedApp(t, poll, func(n int64, r *http.Request, _ []byte) []byte {
				<-release
				return fmt.Appendf(nil, "HTTP/1.1 %d X\r\n%sContent-Length: 3\r\n\r\nabc", test.status, test.fields)
			})
			var all sync.WaitGroup
			var wrong atomic.Int64
			for range clients {
				c := wiretest.Dial(t, a.addr)
				c.Send(lines("GET /poll HTTP/1.1", "Host: app.test"))
				all.Go(func() {
					if r, body := c.Response("GET"); r.StatusCode != test.status || body != "abc" {
						wrong.Add(1)
					}
				})
			}
			wiretest.Eventually(t, "all are there", func() bool { return a.proxy.inFlight.Load() == clients })
			close(release)
			all.Wait()
			if wrong.Load() > 0 || a.asked.Load() > test.asked {
				t.Errorf("%d wrong answers, the app was asked %d times, want at most %d", wrong.Load(), a.asked.Load(), test.asked)
			}
		})
	}
}

// TestCacheLeaderLeaves has the client go for whom the app was asked: somebody who waits for the same asks again.
func TestCacheLeaderLeaves(t *testing.T) {
	release := make(chan struct{})
	a := newCachedApp(t, poll, func(n int64, r *http.Request, _ []byte) []byte {
		if n == 1 {
			<-release
		}
		return ok(fmt.Sprint(n))
	})
	first := wiretest.Dial(t, a.addr)
	first.Send(lines("GET /poll HTTP/1.1", "Host: app.test"))
	wiretest.Eventually(t, "the app is asked", func() bool { return a.asked.Load() == 1 })
	second := wiretest.Dial(t, a.addr)
	second.Send(lines("GET /poll HTTP/1.1", "Host: app.test"))
	wiretest.Eventually(t, "the second waits", func() bool { return a.store.Stats().Waits == 1 })
	first.Close()
	r, body := second.Response("GET")
	a.want(r, body, 200, "2", "fwd=uri-miss; stored")
	close(release)
}

// TestCacheAccelRedirect: what another route answers with is not kept, and who waits is told at once. A change that is answered
// so ends what is stored of its session.
func TestCacheAccelRedirect(t *testing.T) {
	a := newCachedApp(t, poll, func(n int64, r *http.Request, _ []byte) []byte {
		switch {
		case r.URL.Path == "/inside/x":
			return ok("inside")
		case r.Method == "POST", r.Header.Get("X-Redirect") != "":
			return []byte("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inside/x\r\nContent-Length: 0\r\n\r\n")
		}
		return ok(fmt.Sprint(n))
	}, func(o *Options) { o.Routes = []Route{{Match: "/inside", Internal: true}} })
	r, body := a.get("GET", "/poll?x", "X-Redirect: 1")
	if r.StatusCode != 200 || body != "inside" || a.store.Stats().Stored != 0 {
		t.Fatalf("got %d %q, %d kept", r.StatusCode, body, a.store.Stats().Stored)
	}
	a.get("GET", "/poll", "Cookie: sid=anna")
	r, body = a.get("GET", "/poll", "Cookie: sid=anna")
	a.want(r, body, 200, body, "hit")
	a.get("POST", "/change", "Cookie: sid=anna")
	r, body = a.get("GET", "/poll", "Cookie: sid=anna")
	a.want(r, body, 200, body, "fwd=uri-miss; stored")
}
