package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/cache/rules"
	"holdfast/internal/http1"
	"holdfast/internal/wiretest"
)

// TestCacheSessions: what ends a session's answers does so also where a rule is about everything, and nobody else's.
func TestCacheSessions(t *testing.T) {
	everything := []rules.Options{{Name: "all", Match: "/", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}
	for _, c := range []struct {
		name, method, target string
		ends                 bool
	}{
		{"a page", "GET", "/other", false},
		{"a write", "POST", "/save", true},
		{"a page that sets another session", "GET", "/login", true},
		{"a page that sets another cookie", "GET", "/theme", false},
		{"a logout", "GET", "/logout", true},
		{"a logout in other words", "GET", "/%6cogout", true},
		{"a logout by a detour", "GET", "/x/../logout/", true},
		{"a write that fails", "POST", "/fail", true},
	} {
		a := newCachedApp(t, everything, func(n int64, r *http.Request, _ []byte) []byte {
			fields, status := "", "200 OK"
			switch {
			case strings.HasPrefix(r.RequestURI, "/login"):
				fields = "Set-Cookie: sid=new; Path=/\r\n"
			case strings.HasPrefix(r.RequestURI, "/theme"):
				fields = "Set-Cookie: theme=dark; Path=/\r\n"
			case strings.HasPrefix(r.RequestURI, "/fail"):
				status = "500 Failed"
			}
			text := fmt.Sprint(n)
			return fmt.Appendf(nil, "HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(text), text)
		}, func(o *Options) {
			o.Cache.EndsSession = http1.NewPathSet([]string{"/logout"})
		})
		page := func(session string) string {
			_, body := a.get("GET", "/page", "Cookie: sid="+session)
			return body
		}
		mine, others := page("1"), page("2")
		if page("1") != mine || page("2") != others || mine == others {
			t.Fatalf("%s: the pages are not kept", c.name)
		}
		_, first := a.get(c.method, c.target, "Cookie: sid=1")
		if again := page("1"); (again != mine) != c.ends || page("2") != others {
			t.Errorf("%s: after it the session has page %s, before it %s", c.name, again, mine)
		}
		if c.ends { // it reaches the app each time
			if _, second := a.get(c.method, c.target, "Cookie: sid=1"); second == first {
				t.Errorf("%s: it was answered from memory", c.name)
			}
		}
	}
}

// TestCacheConnectionLogin: who has logged in a connection, of which no later field tells, gets nothing from memory, and
// nothing that they get is stored for others.
func TestCacheConnectionLogin(t *testing.T) {
	list := []rules.Options{{Name: "all", Match: "/", Parts: []string{"query"}, MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}
	h := cache.NewHasher()
	set, err := rules.New(list, []string{"sid"}, h)
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, iis(t, "NTLM", "").Addr, func(o *Options) {
		o.PoolIdle = wiretest.Timeout
		o.Cache = &fetch.Cache{Rules: set, Store: cache.NewStore(cache.Options{}, h), Wait: wiretest.Timeout}
		o.Rules = set.Whole()
	})
	ask := func(c *wiretest.Client, target string, fields ...string) string {
		c.Send(lines(append([]string{"GET " + target + " HTTP/1.1", "Host: x"}, fields...)...))
		_, body := c.Response(http.MethodGet)
		_, user, _ := strings.Cut(body, " ")
		return user
	}
	anna, bob := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	if got := ask(bob, "/a"); got != "nobody" {
		t.Fatalf("bob is %s", got)
	}
	ask(anna, "/", "Authorization: NTLM anna")
	for _, target := range []string{"/a", "/b"} {
		if got := ask(anna, target); got != "anna" {
			t.Errorf("anna gets %s of %s", target, got)
		}
		if got := ask(bob, target); got != "nobody" {
			t.Errorf("bob gets %s of %s", target, got)
		}
	}
}

// TestCacheUnansweredChange: a write that the app has and does not answer may have been made; one that it has not was not.
func TestCacheUnansweredChange(t *testing.T) {
	list := []rules.Options{{Name: "all", Match: "/", MaxBytes: 1 << 20, Policy: cache.Policy{Fresh: time.Hour, IgnoreApp: true}}}
	a := newCachedApp(t, list, func(n int64, r *http.Request, _ []byte) []byte {
		if r.Method == "POST" {
			return nil // nothing, and the connection is closed by the client's end
		}
		return ok(fmt.Sprint(n))
	}, func(o *Options) { o.BodyBytes, o.UpstreamTime = 100, wiretest.Timeout })
	page := func() string {
		_, body := a.get("GET", "/page", "Cookie: sid=1")
		return body
	}
	before := page()
	c := wiretest.Dial(t, a.addr)
	c.Send(lines("POST /page HTTP/1.1", "Host: app.test", "Cookie: sid=1", "Content-Length: 1000"))
	if r, _ := c.Response("POST"); r.StatusCode != 413 {
		t.Fatalf("too large a body: %d", r.StatusCode)
	}
	if got := page(); got != before {
		t.Errorf("a request that the app has not ends what is stored: %s, before it %s", got, before)
	}
	c = wiretest.Dial(t, a.addr)
	c.Send(lines("POST /page HTTP/1.1", "Host: app.test", "Cookie: sid=1", "Content-Length: 3") + "a=b")
	wiretest.Eventually(t, "the app has it", func() bool { return a.asked.Load() == 2 })
	c.Close()
	wiretest.Eventually(t, "the page is fetched anew", func() bool { return page() != before })
}
