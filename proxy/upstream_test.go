package proxy

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// named is an upstream that answers with its name.
func named(t *testing.T, name string) *wiretest.Upstream {
	return wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { return ok(name) }))
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return ln.Addr().String()
}

func upstreams(list ...Upstream) func(*Options) {
	return func(o *Options) {
		for i := range list {
			list[i].Network, list[i].Host = "tcp", list[i].Address
		}
		o.Upstreams = list
		o.MaxFails, o.FailTime = 1, time.Hour
		o.Queue, o.QueueTime = 100, wiretest.Timeout
	}
}

// ask sends one request on a connection of its own.
func ask(t *testing.T, addr string, fields ...string) (*http.Response, string) {
	t.Helper()
	c := wiretest.Dial(t, addr)
	c.Send(lines(append([]string{"GET / HTTP/1.1", "Host: x"}, fields...)...))
	return c.Response(http.MethodGet)
}

// TestNextUpstream: what cannot be reached costs nobody an answer, whatever the method, as nothing was
// sent; and is not asked again for a while.
func TestNextUpstream(t *testing.T) {
	up := named(t, "up")
	addr, p := start(t, "", upstreams(Upstream{Address: nobody(t)}, Upstream{Address: up.Addr}))
	for range 4 {
		c := wiretest.Dial(t, addr)
		c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 3") + "abc")
		if resp, body := c.Response(http.MethodPost); resp.StatusCode != 200 || body != "up" {
			t.Fatalf("answered %d %q", resp.StatusCode, body)
		}
	}
	if s := p.Stats(); s.Retries != 1 || !s.Upstreams[0].Down || s.Upstreams[1].Down || s.UpstreamErrors != 0 {
		t.Errorf("%+v; want one try in vain", s)
	}
	if n := strings.Count(up.Sent(), "abc"); n != 4 {
		t.Errorf("the app was sent %d requests; want 4", n)
	}
}

// TestBackup: a backup is asked only when there is no other.
func TestBackup(t *testing.T) {
	one, two := named(t, "one"), named(t, "backup")
	addr, p := start(t, "", upstreams(Upstream{Address: one.Addr}, Upstream{Address: two.Addr, Backup: true}))
	for range 5 {
		if _, body := ask(t, addr); body != "one" {
			t.Fatalf("%s answered", body)
		}
	}
	one.Close()
	for i := range 5 {
		resp, body := ask(t, addr)
		if body != "backup" && !(i == 0 && resp.StatusCode == 502) {
			t.Fatalf("request %d: %d %q", i, resp.StatusCode, body)
		}
	}
	if !p.Stats().Upstreams[0].Down {
		t.Error("the first is not down")
	}
}

// TestAllDown: when nobody is up, somebody is asked all the same.
func TestAllDown(t *testing.T) {
	gone := nobody(t)
	addr, p := start(t, "", upstreams(Upstream{Address: gone}, Upstream{Address: nobody(t)}))
	if resp, _ := ask(t, addr); resp.StatusCode != 502 {
		t.Fatalf("answered %d; want 502", resp.StatusCode)
	}
	if s := p.Stats(); !s.Upstreams[0].Down || !s.Upstreams[1].Down {
		t.Fatalf("%+v; want both down", s.Upstreams)
	}
	ln, err := net.Listen("tcp", gone)
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(c))
			fmt.Fprint(c, string(ok("back")))
			c.Close()
		}
	}()
	defer func() { ln.Close(); <-donec }()
	back := false
	for range 4 { // the other one may be the one that is asked
		_, body := ask(t, addr)
		back = back || body == "back"
	}
	if !back {
		t.Error("an upstream that is back is not asked although all are down")
	}
}

// TestLeastActive: a slow upstream gets fewer requests.
func TestLeastActive(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	slow := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { <-release; return ok("slow") }))
	fast := named(t, "fast")
	addr, p := start(t, "", upstreams(Upstream{Address: slow.Addr}, Upstream{Address: fast.Addr}))
	var stuck *wiretest.Client
	for stuck == nil {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET / HTTP/1.1", "Host: x"))
		wiretest.Eventually(t, "it is at one of them", func() bool {
			s := p.Stats().Upstreams
			if s[0].Active == 1 {
				stuck = c
			}
			return stuck != nil || c.Reader.Buffered() > 0 || peekable(c)
		})
	}
	for range 6 {
		wiretest.Eventually(t, "the fast one has none", func() bool { return p.Stats().Upstreams[1].Active == 0 })
		if _, body := ask(t, addr); body != "fast" {
			t.Fatalf("%s answered although it has one already", body)
		}
	}
	free()
	if _, body := stuck.Response(http.MethodGet); body != "slow" {
		t.Errorf("%s answered", body)
	}
	wiretest.Eventually(t, "nobody is active", func() bool { s := p.Stats(); return s.Upstreams[0].Active+s.Upstreams[1].Active == 0 })
}

// peekable reports whether the client has been answered.
func peekable(c *wiretest.Client) bool {
	c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, err := c.Reader.Peek(1)
	c.SetReadDeadline(time.Now().Add(wiretest.Timeout))
	return err == nil
}

// TestMaxConnsQueue: the app never has more at once than max_conns, and everybody who stays is answered.
func TestMaxConnsQueue(t *testing.T) {
	const clients, most = 60, 3
	var now, peak atomic.Int64
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		n := now.Add(1)
		for {
			if p := peak.Load(); n <= p || peak.CompareAndSwap(p, n) {
				break
			}
		}
		<-release
		now.Add(-1)
		return ok(string(body))
	}))
	addr, p := start(t, "", upstreams(Upstream{Address: u.Addr, MaxConns: most}), func(o *Options) { o.RequestBuffer = 1 << 10 })
	var all []*wiretest.Client
	for i := range clients {
		c := wiretest.Dial(t, addr)
		body := fmt.Sprint("body ", i)
		c.Send(lines("POST / HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))) + body)
		all = append(all, c)
		wiretest.Eventually(t, "it is served or waits", func() bool {
			s := p.Stats()
			return s.Upstreams[0].Active+s.Queued == int64(i+1)
		})
	}
	left := 0
	for i := most; i < clients; i += 5 {
		all[i].Close()
		left++
	}
	wiretest.Eventually(t, "some have left the line", func() bool { return p.Stats().Queued == int64(clients-most-left) })
	free()
	for i, c := range all {
		if i >= most && (i-most)%5 == 0 {
			continue
		}
		if resp, body := c.Response(http.MethodPost); resp.StatusCode != 200 || body != fmt.Sprint("body ", i) {
			t.Fatalf("client %d: %d %q", i, resp.StatusCode, body)
		}
	}
	wiretest.Eventually(t, "all is let go", func() bool { s := p.Stats(); return s.InFlight == 0 && s.Queued == 0 && s.Upstreams[0].Active == 0 })
	if n := peak.Load(); n != most {
		t.Errorf("%d at once; want %d", n, most)
	}
}

func TestQueueIsBounded(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	u := wiretest.NewUpstream(t, wiretest.Answer(func(*http.Request, []byte) []byte { <-release; return ok("done") }))
	addr, p := start(t, "", upstreams(Upstream{Address: u.Addr, MaxConns: 1}), func(o *Options) { o.Queue, o.QueueTime = 1, 300*time.Millisecond })
	first := wiretest.Dial(t, addr)
	first.Send(lines("GET / HTTP/1.1", "Host: x"))
	wiretest.Eventually(t, "the first is served", func() bool { return p.Stats().Upstreams[0].Active == 1 })
	second := wiretest.Dial(t, addr)
	second.Send(lines("GET / HTTP/1.1", "Host: x"))
	wiretest.Eventually(t, "the second waits", func() bool { return p.Stats().Queued == 1 })
	if resp, _ := ask(t, addr); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the third was answered %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if resp, _ := second.Response(http.MethodGet); resp.StatusCode != 503 {
		t.Errorf("the second was answered %d when its time was over", resp.StatusCode)
	}
	free()
	if resp, body := first.Response(http.MethodGet); resp.StatusCode != 200 || body != "done" {
		t.Errorf("the first was answered %d %q", resp.StatusCode, body)
	}
	if resp, body := ask(t, addr); resp.StatusCode != 200 || body != "done" {
		t.Errorf("the next was answered %d %q", resp.StatusCode, body)
	}
}

func TestSticky(t *testing.T) {
	list := []*wiretest.Upstream{named(t, "0"), named(t, "1"), named(t, "2")}
	t.Run("our own cookie", func(t *testing.T) {
		addr, _ := start(t, "", upstreams(Upstream{Address: list[0].Addr}, Upstream{Address: list[1].Addr}, Upstream{Address: list[2].Addr}),
			func(o *Options) { o.Sticky = "stay" })
		resp, first := ask(t, addr)
		set := resp.Header.Get("Set-Cookie")
		cookie, _, _ := strings.Cut(set, ";")
		if !strings.HasPrefix(cookie, "stay=") || strings.Contains(set, "127.0.0.1") {
			t.Fatalf("Set-Cookie: %q", set)
		}
		for range 6 {
			resp, body := ask(t, addr, "Cookie: a=b; "+cookie)
			if body != first || resp.Header.Get("Set-Cookie") != "" {
				t.Fatalf("%s answered, not %s; Set-Cookie %q", body, first, resp.Header.Get("Set-Cookie"))
			}
		}
	})
	t.Run("the app's route", func(t *testing.T) {
		addr, _ := start(t, "", upstreams(Upstream{Address: list[0].Addr, Route: "a"}, Upstream{Address: list[1].Addr, Route: "b"}, Upstream{Address: list[2].Addr, Route: "ab"}),
			func(o *Options) { o.Sticky = "JSESSIONID" })
		for range 4 {
			for route, want := range map[string]string{"a": "0", "b": "1", "ab": "2"} {
				if resp, body := ask(t, addr, "Cookie: JSESSIONID=0123."+route); body != want || resp.Header.Get("Set-Cookie") != "" {
					t.Errorf("route %s was answered by %s", route, body)
				}
				c := wiretest.Dial(t, addr)
				c.Send(lines("GET /x;jsessionid=0123."+route+"?a=b HTTP/1.1", "Host: x"))
				if _, body := c.Response(http.MethodGet); body != want {
					t.Errorf("route %s in the path was answered by %s", route, body)
				}
			}
		}
	})
}

func TestHealthCheck(t *testing.T) {
	var well atomic.Bool
	sick := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
		if r.RequestURI == "/health" && !well.Load() {
			return []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		}
		return ok("sick")
	}))
	fine := named(t, "fine")
	addr, p := start(t, "", upstreams(Upstream{Address: sick.Addr}, Upstream{Address: fine.Addr}),
		func(o *Options) { o.CheckPath, o.CheckEvery = "/health", 20*time.Millisecond })
	donec := make(chan struct{})
	go func() { defer close(donec); p.Upstreams().Check(t.Context()) }()
	t.Cleanup(func() { <-donec })
	wiretest.Eventually(t, "the check finds it sick", func() bool { return p.Stats().Upstreams[0].Down })
	for range 6 {
		if _, body := ask(t, addr); body != "fine" {
			t.Fatalf("%s answered", body)
		}
	}
	well.Store(true)
	wiretest.Eventually(t, "the check finds it well", func() bool { return !p.Stats().Upstreams[0].Down })
	wiretest.Eventually(t, "it is asked again", func() bool { _, body := ask(t, addr); return body == "sick" })
}

// TestNameWithSeveralAddresses: all addresses of a host name are tried, once each, for requests of any method, as nothing
// was sent, and for health checks. The one that was reached comes first from then on.
func TestNameWithSeveralAddresses(t *testing.T) {
	for _, tt := range []struct {
		name      string
		addresses []string
		status    int
		misses    int // addresses that are tried in vain, by all requests together
	}{
		{"the last", []string{"::1", "127.0.0.3", "127.0.0.1"}, 200, 1},
		{"the first", []string{"127.0.0.1", "127.0.0.3"}, 200, 0},
		{"none", []string{"127.0.0.2", "127.0.0.3"}, 502, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := named(t, "up")
			_, port, _ := net.SplitHostPort(u.Addr)
			var log wiretest.Log
			addr, p := start(t, "", upstreams(Upstream{Address: "app.test:" + port}), func(o *Options) {
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
				o.CheckPath, o.CheckEvery = "/", time.Hour
				o.Lookup = func(_ context.Context, host string) (list []netip.Addr, err error) {
					for _, a := range tt.addresses {
						list = append(list, netip.MustParseAddr(a))
					}
					return list, nil
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { p.Upstreams().Resolve(ctx) })
			defer group.Wait()
			defer cancel()
			server := p.Upstreams().Servers()[0]
			wiretest.Eventually(t, "the name is resolved", func() bool {
				_, _, err := server.DialAddress(0)
				return err == nil
			})
			for range 2 {
				c := wiretest.Dial(t, addr)
				c.Send(lines("POST / HTTP/1.1", "Host: x", "Content-Length: 3") + "abc")
				if resp, _ := c.Response(http.MethodPost); resp.StatusCode != tt.status {
					t.Fatalf("answered %d, want %d", resp.StatusCode, tt.status)
				}
			}
			if n := strings.Count(log.String(), "upstream address not reached"); n != tt.misses {
				t.Errorf("%d addresses were passed over, want %d:\n%s", n, tt.misses, log.String())
			}
			group.Go(func() { p.Upstreams().Check(ctx) })
			if tt.status == 502 {
				wiretest.Eventually(t, "the health check fails", func() bool { return server.Down(time.Now()) })
			}
		})
	}
}
