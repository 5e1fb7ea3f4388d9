package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/serving"
	"holdfast/internal/wiretest"
)

// oneSite makes routes for all hosts.
func oneSite(set *balance.Set, main Route, list []Route) *route.Sites {
	sites, err := route.NewSites(set, Route{}, []route.SiteOptions{{Default: true, Main: main, Routes: list}})
	if err != nil {
		panic(err)
	}
	return sites
}

// routes makes a proxy of which only the rules are used.
func routes(t testing.TB, match ...string) *Proxy {
	t.Helper()
	p := new(Proxy)
	o := Options{Upstreams: []Upstream{{Address: "127.0.0.1:1"}}}
	for i, m := range match {
		o.Routes = append(o.Routes, Route{Match: m, Upstreams: []Upstream{{Address: fmt.Sprint("127.0.0.1:", i+2)}}})
	}
	sites := oneSite(balance.NewSet(balance.Options{}), Route{Match: "/", Upstreams: o.Upstreams}, o.Routes)
	p.present.Store(&generation{Proxy: p, State: &serving.State{Sites: sites}})
	return p
}

// main is the route of what no other is for.
func (p *Proxy) main() *route.Route { return p.present.Load().Sites.Tables[0].Rest() }

// TestRouteOfAPath is the table of what has more than one reading: a path that some app reads as one below /admin
// goes to the upstream of /admin or nowhere.
func TestRouteOfAPath(t *testing.T) {
	p := routes(t, "/admin", "/shop/old")
	for _, tt := range []struct{ path, want string }{
		{"/", "/"}, {"/a", "/"}, {"/admin", "/admin"}, {"/admin/", "/admin"}, {"/admin/x", "/admin"}, {"/administrator", "/"},
		{"/shop", "/"}, {"/shop/old", "/shop/old"}, {"/shop/older", "/"}, {"/shop/old/x.php", "/shop/old"},
		{"//admin", "400"}, {"/admin//x", "/admin"}, {"/a//b", "/"}, {"/./admin", "/admin"}, {"/a/../admin", "/admin"}, {"/a/./b", "/"},
		{"/admin/..", "/"}, {"/admin/../x", "/"}, {"/admin/.", "/admin"}, {"/a/..", "/"},
		{"/%61dmin", "/admin"}, {"/%41dmin", "/"}, {"/ADMIN", "/"}, {"/%2561dmin", "400"}, {"/a%2561dmin", "/"},
		{"/%2e/admin", "/admin"}, {"/a/%2e%2e/admin", "/admin"}, {"/a/%2E%2e/b", "/"}, {"/a/%252e%252e/admin", "400"},
		{"/a%2fadmin", "/"}, {"/%2fadmin", "400"}, {"/admin%2fx", "400"}, {"/a/..%2fadmin", "400"}, {"/x%2f..%2fadmin/y", "400"}, {"/shop%2Fold", "400"},
		{"/a%5c..%5cadmin", "400"}, {"/a/..\\admin", "400"}, {"/a\\b", "/"}, {"/admin\\x", "400"}, {"/admin%5cx", "400"},
		{"/admin;x=1", "/admin"}, {"/admin;x=1/y", "/admin"}, {"/shop;a/old", "400"}, {"/a/..;/admin", "400"}, {"/a;b/c", "/"}, {"/;/admin", "400"}, {"/admin/x;jsessionid=1", "/admin"}, {"/x/.;/admin", "/"},
		{"/%c0%afadmin", "400"}, {"/a/%c0%ae%c0%ae/admin", "400"}, {"/%e0%80%afadmin", "400"}, {"/%f0%80%80%afadmin", "400"}, {"/caf%c3%a9", "/"}, {"/caf%e9", "/"},
		{"/%C0%CC%BF%EB", "/"}, {"/%C0%20propos", "/"}, {"/%C0%AF%C0%DA", "/"}, {"/%C7%D1%B1%DB/%C1%F6", "/"}, {"/admin/%C0%CC", "/admin"}, {"/%83%5C%95%5C", "/"},
		{"/%E0%80%E0%81", "/"}, {"/\xc0\xcc\xbf\xeb", "/"}, {"/caf\xe9", "/"}, {"/admin/\xc0\xaf", "/admin"},
		{"/%c1%a1dmin", "400"}, {"/admin%c0%af", "400"}, {"/admin%c0%80x", "400"}, {"/x/%c0%ae./admin", "400"}, {"/x%c1%9c..%c1%9cadmin", "400"}, {"/\xc0\xafadmin", "400"},
		{"/%f8%80%80%80%afadmin", "400"}, {"/%fc%80%80%80%80%afadmin", "400"}, {"/%25c0%25afadmin", "400"}, {"/%c0%a5%36%31dmin", "400"}, {"/admin/%c0%ae%c0%ae/x", "400"},
		{"/../admin", "400"}, {"/a/../../admin", "400"}, {"/%2e%2e/", "400"}, {"/%01", "400"}, {"/%7f", "400"}, {"/%0a/admin", "400"},
		{"/100%25", "/"}, {"/%25", "/"}, {"/a b", "/"}, {"*", "/"},
	} {
		got := ""
		if r, refused := p.present.Load().Sites.Tables[0].Find([]byte(tt.path)); refused != nil {
			got = fmt.Sprint(refused.Status)
		} else if got = r.Match; (got == "/") != (r == p.main()) {
			t.Errorf("%s: route %q that is not the main one", tt.path, got)
		}
		if got != tt.want {
			t.Errorf("%s: %s; want %s", tt.path, got, tt.want)
		}
	}
}

// Three ways in which apps read a path. They are other code than the rules, as apps are.
var apps = map[string]func(p string) (string, bool){
	"Tomcat": func(p string) (string, bool) {
		var b strings.Builder
		for segment := range strings.SplitSeq(p, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			b.WriteString("/" + segment)
		}
		s, err := url.PathUnescape(strings.TrimPrefix(b.String(), "/"))
		return path.Clean("/" + s), err == nil && !strings.Contains(strings.ToLower(p), "%2f") && !strings.Contains(s, `\`)
	},
	"Apache": func(p string) (string, bool) {
		s, err := url.PathUnescape(p)
		return path.Clean("/" + s), err == nil && !strings.Contains(strings.ToLower(p), "%2f")
	},
	"a filter that decodes slashes": func(p string) (string, bool) {
		s, err := url.PathUnescape(p)
		return path.Clean("/" + s), err == nil
	},
	"a filter that decodes twice": func(p string) (string, bool) {
		s, err := url.PathUnescape(p)
		if err == nil {
			s, err = url.PathUnescape(s)
		}
		return path.Clean("/" + s), err == nil
	},
	"Windows": func(p string) (string, bool) {
		s, err := url.PathUnescape(p)
		return path.Clean("/" + strings.ReplaceAll(s, `\`, "/")), err == nil
	},
	"a decoder of overlong UTF-8": func(p string) (string, bool) {
		s, err := url.PathUnescape(p)
		for lead, long := range map[string]byte{"\xc0": 0, "\xc1": 64, "\xe0\x80": 0, "\xe0\x81": 64, "\xf0\x80\x80": 0} {
			for c := range byte(64) {
				s = strings.ReplaceAll(s, lead+string([]byte{0x80 + c}), string([]byte{long + c}))
			}
		}
		s, _, _ = strings.Cut(s, "\x00")
		return path.Clean("/" + strings.ReplaceAll(s, `\`, "/")), err == nil
	},
	"no merging": func(p string) (string, bool) {
		s, err := url.PathUnescape(p)
		return s, err == nil && !strings.Contains(s, "/.")
	},
}

// FuzzFind: no app reads a path as one of another route than the one that it was sent along.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"/a/../admin", "/%61dmin", "/x/..;/admin", "/a%2fadmin", "//admin", "/%2561dmin", `/a\..\admin`, "/admin;a=b/c", "/.admin/..", "%c0%afadmin", "%c1%a1dmin", "a%e0%80%af../%c0%ae%c0%ae/admin", "/a/%2e%2e%2fadmin"} {
		f.Add(s)
	}
	p := routes(f, "/admin")
	f.Fuzz(func(t *testing.T, s string) {
		var h http1.Head
		if r := h.Parse([]byte("GET /"+s+" HTTP/1.1\r\nHost: x\r\n\r\n"), http1.Limits{Bytes: 16 << 10, Fields: 10}); r != nil {
			return
		}
		r, refused := p.present.Load().Sites.Tables[0].Find(h.Path)
		if refused != nil {
			return
		}
		for name, read := range apps {
			if got, ok := read(string(h.Path)); ok && (got == "/admin" || strings.HasPrefix(got, "/admin/") || strings.HasPrefix(got, "/admin;")) != (r != p.main()) {
				t.Errorf("%s reads %q as %q; its route is %s", name, h.Path, got, r.Match)
			}
		}
	})
}

// FuzzPattern is FuzzFind for a pattern, and for an exact path, which no app reads as another.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"/a/../admin", "/%61dmin/x", "/x/..;/admin", "/one", "/on%65", "/one/", "/one/.", "//one", "/one;a", "/one%2f", "/x%2fadmin", `/one\`, "/%c0%afone", "/one%c0%80x"} {
		f.Add(s)
	}
	set := balance.NewSet(balance.Options{})
	table := oneSite(set, Route{Match: "/"}, []Route{{Pattern: "^/admin(/|;|$)"}, {Exact: "/one"}}).Tables[0]
	f.Fuzz(func(t *testing.T, s string) {
		var h http1.Head
		if r := h.Parse([]byte("GET "+s+" HTTP/1.1\r\nHost: x\r\n\r\n"), http1.Limits{Bytes: 16 << 10, Fields: 10}); r != nil {
			return
		}
		r, refused := table.Find(h.Path)
		if refused != nil {
			return
		}
		for name, read := range apps {
			got, ok := read(string(h.Path))
			if !ok {
				continue
			}
			if isAdmin := got == "/admin" || strings.HasPrefix(got, "/admin/") || strings.HasPrefix(got, "/admin;"); isAdmin != (r.Pattern != "") {
				t.Errorf("%s reads %q as %q; its route is %s", name, h.Path, got, r.Label())
			}
			if r.Exact != "" && got != "/one" && !strings.HasPrefix(got, "/one;") || r.Exact == "" && name == "no merging" && got == "/one" {
				t.Errorf("%s reads %q as %q; its route is %s", name, h.Path, got, r.Label())
			}
		}
	})
}

// tell answers with what it was asked, and with the fields in X-Say, which are separated by "|".
func tell(r *http.Request, _ []byte) []byte {
	b := []byte("HTTP/1.1 200 OK\r\n")
	for f := range strings.SplitSeq(r.Header.Get("X-Say"), "|") {
		if f != "" {
			b = append(b, f+"\r\n"...)
		}
	}
	body := fmt.Sprintf("%s %s %s", r.Host, r.RequestURI, r.Header.Get("X-Forwarded-Prefix"))
	return fmt.Appendf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
}

func TestRoutes(t *testing.T) {
	main, shop := named(t, "main"), wiretest.NewUpstream(t, wiretest.Answer(tell))
	to := []Upstream{{Network: "tcp", Address: shop.Addr, Host: "shop.internal:8080"}}
	addr, _ := start(t, main.Addr, func(o *Options) {
		o.Routes = []Route{
			{Match: "/same", Upstreams: to},
			{Match: "/shop", Upstreams: to, Prefix: "/"},
			{Match: "/other", Upstreams: to, Prefix: "/deep/er/"},
			{Match: "/host", Upstreams: to, Host: "shop.internal"},
			{Match: "/both", Upstreams: to, Prefix: "/app", Host: "shop.internal"},
			{Match: "/gone", Redirect: "https://www.example.com/new/"},
		}
	})
	for _, tt := range []struct{ path, body string }{
		{"/", "main"}, {"/same/a?b=c", "h:1 /same/a?b=c "}, {"/shop/", "h:1 / /shop"}, {"/shop/?", "h:1 /? /shop"}, {"/shop/?a=/shop", "h:1 /?a=/shop /shop"},
		{"/shop/a%20b/?c", "h:1 /a%20b/?c /shop"}, {"/shop//x", "h:1 //x /shop"}, {"/other/x", "h:1 /deep/er/x /other"}, {"/other", "h:1 /deep/er /other"},
		{"/host/x", "shop.internal /host/x "}, {"/both/x;y=1", "shop.internal /app/x;y=1 /both"},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+tt.path+" HTTP/1.1", "Host: h:1", "X-Forwarded-Prefix: /forged"))
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != tt.body {
			t.Errorf("%s: %d %q; want %q", tt.path, resp.StatusCode, body, tt.body)
		}
	}
	for _, p := range []string{"/shop/../shop/x", "/%73hop/x", "/shop/%2e/x", "/a/..;/shop", "/%67one"} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+p+" HTTP/1.1", "Host: h"))
		if resp, _ := c.Response(http.MethodGet); resp.StatusCode != 400 {
			t.Errorf("%s: %d; want 400", p, resp.StatusCode)
		}
	}
	c := wiretest.Dial(t, addr)
	c.Send(lines("POST /shop?a HTTP/1.1", "Host: h:1", "Content-Length: 0"))
	if resp, body := c.Response(http.MethodPost); resp.StatusCode != 200 || body != "h:1 /?a /shop" {
		t.Errorf("POST /shop: %d %q", resp.StatusCode, body)
	}
	for _, tt := range []struct{ method, path, to string }{
		{"GET", "/shop", "/shop/"}, {"HEAD", "/shop?a=/shop", "/shop/?a=/shop"}, {"GET", "/gone", "https://www.example.com/new/"}, {"GET", "/gone/a?b", "https://www.example.com/new/a?b"}, {"POST", "/gone?x", "https://www.example.com/new/?x"},
	} {
		c.Send(lines(tt.method+" "+tt.path+" HTTP/1.1", "Host: h", "Content-Length: 0"))
		resp, _ := c.Response(tt.method)
		if want := map[string]int{"GET": 301, "HEAD": 301, "POST": 308}[tt.method]; resp.StatusCode != want || resp.Header.Get("Location") != tt.to {
			t.Errorf("%s %s: %d to %q; want %d to %q", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Location"), want, tt.to)
		}
	}
}

// TestRewrittenResponses: what an app says of its own paths and name is what the client can use; everything else is as
// it was.
func TestRewrittenResponses(t *testing.T) {
	shop := wiretest.NewUpstream(t, wiretest.Answer(tell))
	to := []Upstream{{Network: "tcp", Address: shop.Addr, Host: "up:8080"}}
	addr, _ := start(t, shop.Addr, func(o *Options) {
		o.Routes = []Route{
			{Match: "/shop", Upstreams: to, Prefix: "/app"},
			{Match: "/root", Upstreams: to, Prefix: "/"},
			{Match: "/host", Upstreams: to, Host: "in.test"},
			{Match: "/same", Upstreams: to},
			{Match: "/case", Upstreams: []Upstream{{Network: "tcp", Address: shop.Addr, Host: "LocalHost:8080"}}, Host: "Shop.Internal"},
		}
	})
	for _, tt := range []struct{ path, field, want string }{
		{"/case", "Location: http://localhost:8080/x", "/x"}, {"/case", "Location: HTTP://LOCALHOST:8080/x", "/x"}, {"/case", "Location: http://shop.internal/x", "/x"},
		{"/case", "Content-Location: //SHOP.internal:80/x", "/x"}, {"/case", "Refresh: 0; URL=http://shop.INTERNAL/x", "0; URL=/x"}, {"/case", "Set-Cookie: a=b; Domain=shop.internal", "a=b"},
		{"/shop", "Location: /app/x?a=/app", "/shop/x?a=/app"}, {"/shop", "Location: /app", "/shop"}, {"/shop", "Location: /apple", "/apple"},
		{"/shop", "Location: /app?q", "/shop?q"}, {"/shop", "Location: x/y", "x/y"}, {"/shop", "Location: http://up:8080/app/x", "/shop/x"},
		{"/shop", "Location: http://h:1/app/x", "http://h:1/shop/x"}, {"/shop", "Location: https://H:1/app/x", "https://H:1/shop/x"},
		{"/shop", "Location: http://elsewhere/app/x", "http://elsewhere/app/x"}, {"/shop", "Location: //h:1/app/x", "//h:1/shop/x"},
		{"/shop", "Content-Location: /app/x", "/shop/x"}, {"/shop", "Refresh: 5; url=/app/x", "5; url=/shop/x"}, {"/shop", "Refresh: 0;URL='/app/x'", "0;URL='/shop/x'"}, {"/shop", "Refresh: 5", "5"},
		{"/shop", "Refresh: 5,/app/x", "5,/shop/x"}, {"/shop", "Refresh: 5 /app/x", "5 /shop/x"}, {"/shop", "Refresh: 5; '/app/x' ", "5; '/shop/x'"}, {"/shop", "Refresh: 5; URL = \"/app/x\"; more", "5; URL = \"/shop/x\"; more"},
		{"/shop", "Refresh: 0.5;URL='/app/x", "0.5;URL='/shop/x"}, {"/shop", "Refresh: 5; url /app/x", "5; url /app/x"}, {"/shop", "Refresh: 5/app/x", "5/app/x"}, {"/shop", "Refresh: /app/x", "/app/x"}, {"/shop", "Refresh: 5;", "5;"},
		{"/shop", "Refresh: 5; x/y", "5; x/y"}, {"/shop", "Refresh: 5; urls/app/x", "5; urls/app/x"}, {"/shop", "Refresh: 5, URL=http://up:8080/app/x", "5, URL=/shop/x"}, {"/shop", "Refresh: 5;url=/app", "5;url=/shop"},
		{"/shop", "Set-Cookie: a=b; Path=/app; HttpOnly", "a=b; Path=/shop; HttpOnly"}, {"/shop", "Set-Cookie: a=/app; path=/app/x", "a=/app; Path=/shop/x"}, {"/shop", "Set-Cookie: a=b; Path=/; Domain=up", "a=b; Path=/; Domain=up"},
		{"/root", "Location: /x", "/root/x"}, {"/root", "Location: /", "/root/"}, {"/root", "Set-Cookie: a=b; Path=/", "a=b; Path=/root"}, {"/root", "Location: http://up:8080", "/root/"},
		{"/root", "Location: /root/login", "/root/login"}, {"/root", "Location: /root", "/root"}, {"/root", "Location: /rooted", "/root/rooted"}, {"/root", "Location: http://h:1/root/x", "http://h:1/root/x"},
		{"/root", "Content-Location: /root/x", "/root/x"}, {"/root", "Refresh: 1; url=/root/x", "1; url=/root/x"}, {"/root", "Set-Cookie: a=b; Path=/root", "a=b; Path=/root"}, {"/root", "Set-Cookie: a=b; Path=/root/x", "a=b; Path=/root/x"},
		{"/shop", "Location: /shop/app/x", "/shop/app/x"}, {"/shop", "Location: http://UP:8080/app?x", "/shop?x"}, {"/shop", "Location: http://up/app/x", "http://up/app/x"},
		{"/host", "Location: http://in.test:80/x", "/x"}, {"/host", "Location: https://in.test:443/x", "https://H/x"}, {"/host", "Location: http://in.test:443/x", "http://in.test:443/x"}, {"/host", "Location: //in.test:80/x", "/x"}, {"/host", "Location: http://in.test:8080/x", "http://in.test:8080/x"},
		{"/host", "Location: http://IN.test:/x", "/x"}, {"/host", "Location: http://in.test?x", "/?x"},
		{"/host", "Location: http://in.test/x", "/x"}, {"/host", "Location: http://up:8080/x?y", "/x?y"}, {"/host", "Location: /x", "/x"}, {"/host", "Location: http://in.test.evil/x", "http://in.test.evil/x"},
		{"/host", "Set-Cookie: a=b; Domain=.in.test; Secure", "a=b; Secure"}, {"/host", "Set-Cookie: a=b; Domain=test", "a=b; Domain=test"},
		{"/same", "Location: http://up:8080/x", "/x"}, {"/same", "Set-Cookie: a=b;path=/x;Domain=up", "a=b;path=/x;Domain=up"},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET "+tt.path+"/page HTTP/1.1", "Host: H:1", "X-Say: "+tt.field))
		resp, _ := c.Response(http.MethodGet)
		name, _, _ := strings.Cut(tt.field, ":")
		if got := resp.Header.Get(name); got != tt.want {
			t.Errorf("%s, %s: %q; want %q", tt.path, tt.field, got, tt.want)
		}
	}
}

// TestOwnAddress: an app that names itself by the address that only Holdfast uses means the site that its client knows, as
// with nginx's "proxy_redirect default". What it builds of Host, which it is passed, stays.
func TestOwnAddress(t *testing.T) {
	app := wiretest.NewUpstream(t, wiretest.Answer(tell))
	for _, tt := range []struct{ own, head, field, want string }{
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8081/x?y", "/x?y"},
		{"127.0.0.1:8081", "Host: app.test", "Location: HTTP://LocalHost:8081/x", "/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://[::1]:8081", "/"},
		{"127.0.0.1:8081", "Host: app.test", "Location: //127.0.0.1:8081/x", "/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8081//evil.test/x", "/.//evil.test/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8081/\\evil.test/x", "/./\\evil.test/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8081/\t/evil.test/x", "/./\t/evil.test/x"},
		{"127.0.0.1:8081", "Host: app.test", "Content-Location: http://127.0.0.1:8081/x", "/x"},
		{"127.0.0.1:8081", "Host: app.test", "Refresh: 0;url=http://127.0.0.1:8081/x", "0;url=/x"},
		{"127.0.0.1:8081", "Host: app.test", "Set-Cookie: a=b;path=/x;Domain=127.0.0.1", "a=b;path=/x;Domain=127.0.0.1"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8082/x", "http://127.0.0.1:8082/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1/x", "http://127.0.0.1/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:80819/x", "http://127.0.0.1:80819/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://app.test/x", "http://app.test/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: https://app.test/x", "https://app.test/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8081.evil/x", "http://127.0.0.1:8081.evil/x"},
		{"127.0.0.1:8081", "Host: app.test", "Location: http://127.0.0.1:8081@evil/x", "http://127.0.0.1:8081@evil/x"},
		{"127.0.0.1:8081", "Host: 127.0.0.1:8081", "Location: http://127.0.0.1:8081/x", "http://127.0.0.1:8081/x"}, // through a tunnel of the same port
		{"127.0.0.1:8081", "Host: localhost:8081", "Location: http://localhost:8081/x", "http://localhost:8081/x"},
		{"127.0.0.1:8081", "", "Location: http://127.0.0.1:8081/x", "/x"}, // HTTP/1.0: the app was sent its own address
		{"127.0.0.1", "Host: app.test", "Location: http://localhost:80/x", "/x"},
		{"127.0.0.1:80", "Host: app.test", "Location: http://127.0.0.1/x", "/x"},
		{"app:80", "Host: app.test", "Location: http://APP/x", "/x"},
		{"app", "Host: app.test", "Location: http://app:80/x", "/x"},
		{"app:8081", "Host: app.test", "Location: http://localhost:8081/x", "http://localhost:8081/x"},
		// An app that wants https says so by the scheme. A path would lead the client back to where it is.
		{"127.0.0.1:8081", "Host: app.test:8080", "Location: https://127.0.0.1:8081/x", "https://app.test/x"},
		{"127.0.0.1:8081", "Host: [2001:db8::1]:8080", "Location: https://localhost:8081/x", "https://[2001:db8::1]/x"},
		{"127.0.0.1:8081", "", "Location: https://127.0.0.1:8081/x", "https://127.0.0.1:8081/x"},
		{"127.0.0.1:8081", "Host: in\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-Proto: https", "Location: https://127.0.0.1:8081/x", "/x"},
		{"127.0.0.1:8081", "Host: in\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-Proto: https", "Location: http://127.0.0.1:8081/x", "/x"},
		{"127.0.0.1:8081", "Host: in\r\nX-Forwarded-Host: app.test:8080\r\nX-Forwarded-Proto: http", "Location: https://127.0.0.1:8081/x", "https://app.test/x"},
	} {
		addr, _ := start(t, "", trusting, func(o *Options) {
			o.Upstreams = []Upstream{{Network: "tcp", Address: app.Addr, Host: tt.own}}
		})
		c := wiretest.Dial(t, addr)
		if tt.head == "" {
			c.Send(lines("GET / HTTP/1.0", "X-Say: "+tt.field))
		} else {
			c.Send(lines("GET / HTTP/1.1", tt.head, "X-Say: "+tt.field))
		}
		resp, _ := c.Response(http.MethodGet)
		name, _, _ := strings.Cut(tt.field, ":")
		if got := resp.Header.Get(name); got != tt.want {
			t.Errorf("%s of %s, asked with %q: %q; want %q", tt.field, tt.own, tt.head, got, tt.want)
		}
	}
}

// TestOwnAddressOfSeveral: each of a route's upstreams means the site when it names itself.
func TestOwnAddressOfSeveral(t *testing.T) {
	say := func(own string) string {
		return wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte {
			return []byte("HTTP/1.1 302 Found\r\nLocation: http://" + own + "/x\r\nContent-Length: 0\r\n\r\n")
		})).Addr
	}
	addr, _ := start(t, "", func(o *Options) {
		o.Upstreams = []Upstream{{Network: "tcp", Address: say("a:1"), Host: "a:1"}, {Network: "tcp", Address: say("b:2"), Host: "b:2"}}
	})
	for range 6 {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: app.test"))
		if resp, _ := c.Response(http.MethodGet); resp.Header.Get("Location") != "/x" {
			t.Errorf("Location: %s", resp.Header.Get("Location"))
		}
	}
}

// TestDestination: where a WebDAV client copies to is a path as the app knows it.
func TestDestination(t *testing.T) {
	dav := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		said := r.Header.Get("Destination")
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(said), said)
	}))
	to := []Upstream{{Network: "tcp", Address: dav.Addr, Host: "up:8080"}}
	addr, _ := start(t, dav.Addr, func(o *Options) {
		o.Routes = []Route{
			{Match: "/dav", Upstreams: to, Prefix: "/"},
			{Match: "/deep", Upstreams: to, Prefix: "/app"},
			{Match: "/host", Upstreams: to, Host: "in.test"},
			{Match: "/both", Upstreams: to, Host: "in.test", Prefix: "/app"},
			{Match: "/same", Upstreams: to},
		}
	})
	for _, tt := range []struct{ path, said, want string }{
		{"/dav/a", "http://h:1/dav/b%20c", "http://h:1/b%20c"}, {"/dav/a", "https://H:1/dav/b", "https://H:1/b"}, {"/dav/a", "/dav/b", "/b"}, {"/dav/a", "http://h:1/dav", "http://h:1/"},
		{"/dav/a", "http://h:1/davs/b", "http://h:1/davs/b"}, {"/dav/a", "http://other/dav/b", "http://other/dav/b"}, {"/dav/a", "b", "b"},
		{"/deep/a", "http://h:1/deep/b", "http://h:1/app/b"}, {"/host/a", "http://h:1/host/b", "http://in.test/host/b"}, {"/both/a", "http://h:1/both/b?c", "http://in.test/app/b?c"},
		{"/same/a", "http://h:1/same/b", "http://h:1/same/b"}, {"/a", "http://h:1/b", "http://h:1/b"},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines("MOVE "+tt.path+" HTTP/1.1", "Host: h:1", "Destination: "+tt.said))
		if _, body := c.Response("MOVE"); body != tt.want {
			t.Errorf("%s to %s: %q; want %q", tt.path, tt.said, body, tt.want)
		}
	}
}

// TestRouteBalances: each route has its own upstreams, their health and their session cookies.
func TestRouteBalances(t *testing.T) {
	a, b, c := named(t, "a"), named(t, "b"), named(t, "c")
	addr, p := start(t, "", upstreams(Upstream{Address: a.Addr}, Upstream{Address: nobody(t)}), func(o *Options) {
		o.Routes = []Route{
			{Match: "/b", Upstreams: []Upstream{{Network: "tcp", Address: b.Addr}, {Network: "tcp", Address: c.Addr}}},
			{Match: "/nobody", Upstreams: []Upstream{{Network: "tcp", Address: nobody(t)}}},
		}
		o.Sticky = "HOLD"
	})
	seen := map[string]int{}
	var cookie string
	for i := range 20 {
		k := wiretest.Dial(t, addr)
		k.Send(lines("GET /"+[]string{"", "b"}[i%2]+" HTTP/1.1", "Host: h"))
		resp, body := k.Response(http.MethodGet)
		seen[body]++
		if body == "c" {
			cookie, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		}
	}
	if seen["a"] != 10 || seen["b"] == 0 || seen["c"] == 0 || seen["b"]+seen["c"] != 10 {
		t.Errorf("answered by %v", seen)
	}
	for i := range 10 {
		k := wiretest.Dial(t, addr)
		k.Send(lines("GET /"+[]string{"", "b"}[i%2]+" HTTP/1.1", "Host: h", "Cookie: "+cookie))
		if _, body := k.Response(http.MethodGet); body != []string{"a", "c"}[i%2] {
			t.Errorf("a client of c is answered by %s", body)
		}
	}
	k := wiretest.Dial(t, addr)
	k.Send(lines("GET /nobody/x HTTP/1.1", "Host: h"))
	if resp, _ := k.Response(http.MethodGet); resp.StatusCode != 502 {
		t.Errorf("a route whose only upstream is down: %d; want 502", resp.StatusCode)
	}
	wiretest.Eventually(t, "nobody has a request", func() bool {
		for _, s := range p.Stats().Upstreams {
			if s.Active != 0 {
				return false
			}
		}
		return true
	})
}

// owner is who has the push URL.
type owner struct{}

func (owner) Owns(path []byte) bool                  { return bytes.HasPrefix(path, []byte("/_push")) }
func (owner) Serve(c *park.Conn, _ *request.Request) { c.Close() }

func trustLoopback(o *Options) { o.Trusted = netip.Addr.IsLoopback }

func TestRedirectHTTPS(t *testing.T) {
	up := named(t, "up")
	addr, _ := start(t, up.Addr, trustLoopback, func(o *Options) {
		o.RedirectHTTPS = true
		o.Local = owner{}
	})
	for _, tt := range []struct {
		sent   []string
		status int
		to     string
	}{
		{[]string{"GET /a?b=c HTTP/1.1", "Host: h:8080", "X-Forwarded-Proto: http"}, 301, "https://h/a?b=c"},
		{[]string{"POST / HTTP/1.1", "Host: [::1]:80", "X-Forwarded-Proto: http", "Content-Length: 0"}, 308, "https://[::1]/"},
		{[]string{"GET / HTTP/1.1", "Host: h", "X-Forwarded-Proto: http", "X-Forwarded-Host: www.example.com"}, 301, "https://www.example.com/"},
		{[]string{"GET / HTTP/1.1", "Host: h", "X-Forwarded-Proto: http", "X-Forwarded-Host: a@b/c"}, 301, "https://h/"},
		{[]string{"GET /_push?channel=a HTTP/1.1", "Host: h", "Forwarded: for=192.0.2.1;proto=http"}, 301, "https://h/_push?channel=a"},
		{[]string{"GET //evil.test/x HTTP/1.1", "Host: h", "X-Forwarded-Proto: http"}, 301, "https://h//evil.test/x"},
		{[]string{"GET / HTTP/1.1", "Host: h", "X-Forwarded-Proto: https"}, 200, ""},
		{[]string{"GET / HTTP/1.1", "Host: h"}, 200, ""},
	} {
		c := wiretest.Dial(t, addr)
		c.Send(lines(tt.sent...))
		method, _, _ := strings.Cut(tt.sent[0], " ")
		if resp, _ := c.Response(method); resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.to {
			t.Errorf("%q: %d to %q; want %d to %q", tt.sent, resp.StatusCode, resp.Header.Get("Location"), tt.status, tt.to)
		}
	}
	if s := up.Sent(); bytes.Contains([]byte(s), []byte("POST")) {
		t.Errorf("the app was sent %q", s)
	}
}
