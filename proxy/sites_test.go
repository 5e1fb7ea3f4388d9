package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/deny"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/wiretest"
)

// appOf answers with the name of the app and what it was sent.
func appOf(t *testing.T, name string) Upstream {
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		return ok(fmt.Sprintf("%s %s %s", name, r.Host, r.RequestURI))
	}))
	return Upstream{Network: "tcp", Address: u.Addr, Host: u.Addr}
}

// pushed serves the push path: with a plain response.
type pushed struct{ resume func(c *park.Conn) }

func (pushed) Owns(path []byte) bool { return string(path) == "/_push" }

func (p pushed) Serve(c *park.Conn, _ *request.Request) {
	c.Write(ok("push"))
	p.resume(c)
}

// siteOf returns one for hosts.
func siteOf(hosts string, main Route, routes ...Route) route.SiteOptions {
	return route.SiteOptions{Name: hosts, Hosts: strings.Fields(hosts), Main: main, Routes: routes}
}

func TestSiteOfAHost(t *testing.T) {
	var x *Proxy
	all, err := deny.New([]string{"/**"})
	if err != nil {
		t.Fatal(err)
	}
	nothing := &route.Settings{Deny: all}
	addr, _ := startPrepared(t, "", func(p *Proxy) { x = p }, trusting, func(o *Options) {
		o.Upstreams = []Upstream{appOf(t, "main")}
		o.Local = pushed{func(c *park.Conn) { x.Resume(c, nil, true) }}
		o.Sites = []route.SiteOptions{
			siteOf("a.test *.a.test ::1", Route{Upstreams: []Upstream{appOf(t, "a")}}, Route{Match: "/x", Upstreams: []Upstream{appOf(t, "a's x")}}),
			siteOf("b.test", Route{}, Route{Pattern: "^/_", Settings: nothing}),
			siteOf("deep.a.test", Route{Redirect: "https://b.test"}),
		}
		o.Sites[1].Push = true
	})
	for _, tt := range []struct{ request, want string }{
		{"GET / HTTP/1.1|Host: a.test", "a a.test /"},
		{"GET / HTTP/1.1|Host: A.Test.:8080", "a A.Test.:8080 /"},
		{"GET / HTTP/1.1|Host: x.y.a.test", "a x.y.a.test /"},
		{"GET /x/y HTTP/1.1|Host: a.test", "a's x a.test /x/y"},
		{"GET /x/y HTTP/1.1|Host: b.test", "main b.test /x/y"},
		{"GET /_push HTTP/1.1|Host: b.test", "push"}, {"GET /_other HTTP/1.1|Host: b.test", "404 "},
		{"GET /_push HTTP/1.1|Host: a.test", "a a.test /_push"},
		{"GET / HTTP/1.1|Host: [0:0::1]:80", "a [0:0::1]:80 /"},
		{"GET /p?q HTTP/1.1|Host: deep.a.test", "301 https://b.test/p?q"},
		{"GET http://a.test/x HTTP/1.1|Host: a.test", "a's x a.test /x"},
		{"GET http://b.test/ HTTP/1.0", "main b.test /"},
		// hosts of no site
		{"GET / HTTP/1.1|Host: c.test", "421 "}, {"GET /_push HTTP/1.1|Host: c.test", "421 "}, {"GET / HTTP/1.1|Host: a.test.evil", "421 "}, {"GET / HTTP/1.1|Host: xa.test", "421 "},
		{"GET / HTTP/1.1|Host: b.test..", "421 "}, {"GET / HTTP/1.1|Host: %61.test", "421 "}, {"GET / HTTP/1.1|Host: 127.0.0.1", "421 "}, {"GET / HTTP/1.0", "421 "},
		{"GET / HTTP/1.1|Host: ", "400 "}, {"GET http://a.test/ HTTP/1.1|Host: b.test", "400 "}, {"GET / HTTP/1.1|Host: a.test|Host: b.test", "400 "},
		// what a trusted proxy says
		{"GET / HTTP/1.1|Host: internal|X-Forwarded-Host: a.test", "a internal /"},
		{"GET / HTTP/1.1|Host: internal|X-Forwarded-Host: b.test, a.test", "a internal /"},
		{"GET / HTTP/1.1|Host: internal|Forwarded: host=a.test", "a internal /"},
		{"GET / HTTP/1.1|Host: www.a.test|X-Forwarded-Host: a.test", "a www.a.test /"},
		{"GET / HTTP/1.1|Host: a.test|X-Forwarded-Host: b.test", "421 "},
		{"GET / HTTP/1.1|Host: a.test|X-Forwarded-Host: c.test", "421 "},
		{"GET / HTTP/1.1|Host: internal|X-Forwarded-Host: c.test", "421 "},
	} {
		if got := answerTo(t, addr, tt.request); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.request, got, tt.want)
		}
	}
	for range 3 { // several hosts on one connection, as proxies send them
		c := wiretest.Dial(t, addr)
		for _, host := range []string{"a.test", "b.test", "www.a.test"} {
			c.Send(lines("GET / HTTP/1.1", "Host: "+host))
			if _, body := c.Response(http.MethodGet); !strings.Contains(body, " "+host+" ") {
				t.Errorf("%s: %q", host, body)
			}
		}
	}
}

// answerTo sends a request, its lines between bars, and returns the body of the response, or its status and Location.
func answerTo(t *testing.T, addr, request string) string {
	t.Helper()
	c := wiretest.Dial(t, addr)
	c.Send(lines(strings.Split(request, "|")...))
	resp, body := c.Response(strings.Fields(request)[0])
	if resp.StatusCode != 200 {
		return fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	return body
}

// TestForwardedHostOfAStranger: a client that is no proxy chooses its site by Host alone.
func TestForwardedHostOfAStranger(t *testing.T) {
	addr, _ := start(t, "", func(o *Options) {
		o.Sites = []route.SiteOptions{siteOf("a.test", Route{Upstreams: []Upstream{appOf(t, "a")}}), siteOf("b.test", Route{Upstreams: []Upstream{appOf(t, "b")}})}
		o.Sites[1].Default = true
	})
	for request, want := range map[string]string{
		"GET / HTTP/1.1|Host: a.test|X-Forwarded-Host: b.test": "a a.test /",
		"GET / HTTP/1.1|Host: c.test|X-Forwarded-Host: a.test": "b c.test /",
		"GET / HTTP/1.0": "b ",
	} {
		if got := answerTo(t, addr, request); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}

func TestExactAndPatterns(t *testing.T) {
	denied, err := deny.New([]string{"*.sql", "/data/**"})
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, "", func(o *Options) {
		o.Upstreams, o.Deny = []Upstream{appOf(t, "main")}, denied
		o.Routes = []Route{
			{Pattern: `^/old/([0-9]+)$`, Redirect: "/articles/$1"},
			{Pattern: `^/wiki/(.+)$`, Redirect: "https://w.test/?title=$1"},
			{Pattern: `^.*/wp-admin$`, Redirect: "$0/"},
			{Pattern: `\.php(/|$)`, Upstreams: []Upstream{appOf(t, "php")}},
			{Match: "/shop", Upstreams: []Upstream{appOf(t, "shop")}},
			{Match: "/remote", Redirect: "/remote.php$path"},
			{Match: "/go", Redirect: "https://go.test/here"},
			{Exact: "/", Redirect: "/start/"},
			{Exact: "/shop/a", Upstreams: []Upstream{appOf(t, "exact")}},
			{Exact: "/dir/", Upstreams: []Upstream{appOf(t, "dir")}},
		}
	})
	for _, tt := range []struct{ target, want string }{
		{"/", "301 /start/"}, {"/?a=b", "301 /start/?a=b"}, {"/index.html", "main x /index.html"}, {"/%2e", "301 /start/"},
		{"/shop", "shop x /shop"}, {"/shop/a", "exact x /shop/a"}, {"/shop/a/", "shop x /shop/a/"}, {"/shop/a/b", "shop x /shop/a/b"}, {"/shop/%61", "exact x /shop/%61"},
		{"/shop/a;jsessionid=1", "exact x /shop/a;jsessionid=1"}, {"/shop/a;x/b", "shop x /shop/a;x/b"}, {"/shop/x.php", "shop x /shop/x.php"}, {"/x/../shop/a", "exact x /x/../shop/a"},
		{"/dir/", "dir x /dir/"}, {"/dir", "main x /dir"}, {"/dir/x/..", "dir x /dir/x/.."}, {"/dir//", "400 "}, {"/dir/a", "main x /dir/a"},
		{"/old/17", "301 /articles/17"}, {"/old/17?p=2", "301 /articles/17?p=2"}, {"/old/%31", "301 /articles/1"}, {"/old/x", "main x /old/x"}, {"/old/%2531", "400 "},
		{"/wiki/Caf%C3%A9", "301 https://w.test/?title=Caf%C3%A9"}, {"/wiki/A&b=c", "301 https://w.test/?title=A%26b%3Dc"}, {"/wiki/A%2Fb?x", "301 https://w.test/?title=A%2Fb"},
		{"/wiki/100%25", "301 https://w.test/?title=100%25"}, {"/wiki/%23x", "301 https://w.test/?title=%23x"},
		{"/blog/wp-admin", "301 /blog/wp-admin/"}, {"//evil.test/wp-admin", "301 /evil.test/wp-admin/"}, {"/a/../wp-admin", "301 /wp-admin/"},
		{"/x.php", "php x /x.php"}, {"/x.php/y", "php x /x.php/y"}, {"/x%2ephp", "php x /x%2ephp"}, {"/x.ph%70/..", "301 /start/"}, {"/x.php%2fy", "400 "}, {"/x.phpx", "main x /x.phpx"},
		{"/remote", "301 /remote.php/remote"}, {"/remote/x?y", "301 /remote.php/remote/x?y"}, {"/go/a?b", "301 https://go.test/here/a?b"},
		{"/dump.sql", "404 "}, {"/shop/dump.SQL?x", "404 "}, {"/data", "404 "}, {"/data/x.php", "404 "}, {"/d%61ta/x", "404 "}, {"/old/../data", "404 "},
	} {
		if got := answerTo(t, addr, "GET "+tt.target+" HTTP/1.1|Host: x"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.target, got, tt.want)
		}
	}
	c := wiretest.Dial(t, addr) // a denied path does not end the connection
	for range 2 {
		c.Send(lines("GET /a.sql HTTP/1.1", "Host: x"))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 404 || resp.Close {
			t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
		}
	}
}

// TestSettingsOfARoute: a route's limits are its own, and those that share them count together.
func TestSettingsOfARoute(t *testing.T) {
	addr, p := start(t, "", func(o *Options) {
		o.Upstreams, o.BodyBytes = []Upstream{appOf(t, "main")}, 10
		large, login := o.Settings, o.Settings
		large.BodyBytes, login.Gate = 1000, route.NewGate(0, 1, 1)
		o.Routes = []Route{
			{Match: "/upload", Settings: &large}, {Match: "/login", Settings: &login}, {Match: "/register", Settings: &login}, {Match: "/other"},
		}
	})
	post := func(path string, n int) string {
		return answerTo(t, addr, fmt.Sprintf("POST %s HTTP/1.1|Host: x|Content-Length: %d||%s", path, n, strings.Repeat("x", max(n-4, 0))))
	}
	for path, want := range map[string]string{"/": "413 ", "/other": "413 ", "/upload": "main x /upload", "/upload/a": "main x /upload/a", "/login": "413 "} {
		if got := post(path, 100); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := post("/upload", 1001); got != "413 " {
		t.Error(got)
	}
	for _, n := range []struct{ path, want string }{{"/login", "main x /login"}, {"/register", "main x /register"}, {"/login", "429 "}, {"/register", "429 "}, {"/", "main x /"}} {
		for i := 0; i < 1 || n.path == "/" && i < 5; i++ {
			if got := answerTo(t, addr, "GET "+n.path+" HTTP/1.1|Host: x"); got != n.want {
				t.Errorf("%s: %q, want %q", n.path, got, n.want)
			}
		}
	}
	if n := p.Stats().RateLimited; n != 2 {
		t.Errorf("%d counted as limited", n)
	}
}
