package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/wiretest"
)

// namedApp is an app that says its name. What a request to it begins goes on when go is closed.
type namedApp struct {
	*httptest.Server
	name  string
	begun atomic.Int64 // requests
	goc   chan struct{}
	goOn  func() // closes goc
}

func newNamedApp(t *testing.T, name string) *namedApp {
	t.Helper()
	a := &namedApp{name: name, goc: make(chan struct{})}
	a.goOn = sync.OnceFunc(func() { close(a.goc) })
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() { a.goOn(); a.Close() })
	return a
}

func (a *namedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.begun.Add(1)
	switch r.URL.Path {
	case "/upload":
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d %v", a.name, n, err)
	case "/stream":
		fmt.Fprint(w, a.name)
		w.(http.Flusher).Flush()
		<-a.goc
		fmt.Fprint(w, " whole")
	case "/fetch":
		<-a.goc
		fmt.Fprint(w, a.name, " fetched")
	case "/ws":
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		io.Copy(c, rw)
	default:
		fmt.Fprint(w, a.name)
	}
}

func (x *reloaded) dial() *wiretest.Client { return wiretest.Dial(x.t, x.Addr().String()) }

// get returns the body of a response, by a connection of its own.
func (x *reloaded) get(target string) string {
	x.t.Helper()
	c := x.dial()
	defer c.Close() //nolint:errcheck // the response is there
	c.Send("GET " + target + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
	resp, body := c.Response(http.MethodGet)
	return fmt.Sprint(resp.StatusCode, " ", body)
}

const withPolls = "polls: [{match: /fetch, shared: true, fresh: 1h}]\n"

// TestReloadDuringRequests: what has begun ends as it has begun, at the app of before, and what begins later has the
// other app.
func TestReloadDuringRequests(t *testing.T) {
	a, b := newNamedApp(t, "a"), newNamedApp(t, "b")
	x := serveReloaded(t, withPolls+"upstream: "+a.URL)
	upload, stream, tunnel := x.dial(), x.dial(), x.dial()
	upload.Send("POST /upload HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 100000))
	stream.Send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
	tunnel.Send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	var waiters []*wiretest.Client
	for range 5 {
		c := x.dial()
		c.Send("GET /fetch HTTP/1.1\r\nHost: a.test\r\n\r\n")
		waiters = append(waiters, c)
	}
	wiretest.Eventually(t, "all have begun", func() bool { return a.begun.Load() == 3 && x.proxy.Stats().InFlight == 7 })
	changed := x.must(withPolls + "upstream: " + b.URL)
	if got := strings.Join(changed, " "); got != "upstream" {
		t.Errorf("changed %s", got)
	}
	if got := x.get("/"); got != "200 b" {
		t.Error(got)
	}
	upload.Send(strings.Repeat("x", 100000))
	a.goOn()
	if _, body := upload.Response(http.MethodPost); body != "a 200000 <nil>" {
		t.Errorf("the upload: %q", body)
	}
	if _, body := stream.Response(http.MethodGet); body != "a whole" {
		t.Errorf("the response: %q", body)
	}
	for _, c := range waiters {
		if _, body := c.Response(http.MethodGet); body != "a fetched" {
			t.Errorf("a fetch: %q", body)
		}
	}
	r := bufio.NewReader(tunnel)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	tunnel.Send("echo")
	if p, err := r.Peek(4); string(p) != "echo" {
		t.Errorf("the tunnel: %q, %v", p, err)
	}
	// The connection of each has its next request from the other app.
	upload.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if _, body := upload.Response(http.MethodGet); body != "b" {
		t.Errorf("after the upload: %q", body)
	}
	if n := a.begun.Load(); n != 4 {
		t.Errorf("a had %d requests", n)
	}
	for _, c := range append(waiters, upload, stream, tunnel) {
		_ = c.Close()
	}
}

// TestReloadSites: sites, routes and settings are those of the next request, also of a connection that is open, and held
// connections of a site that is gone stay.
func TestReloadSites(t *testing.T) {
	a, b := newNamedApp(t, "a"), newNamedApp(t, "b")
	sites := "channels: [{match: public, access: public}]\nsites:\n- {hosts: [a.test], push: true, upstream: %q, headers: {X-Site: %s}}\n"
	other := fmt.Sprintf("- {hosts: [b.test], push: true, upstream: %q, routes: [{match: /gone, redirect: /new}]}\n", b.URL)
	x := serveReloaded(t, fmt.Sprintf(sites, a.URL, "one")+other)
	held := x.dial()
	held.Send("GET /_push?channel=public HTTP/1.1\r\nHost: b.test\r\nAccept: text/event-stream\r\n\r\n")
	wiretest.Eventually(t, "it is held", func() bool { return x.held() == 1 })
	c := x.dial()
	ask := func(host, path, want string) {
		t.Helper()
		c.Send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		resp, body := c.Response(http.MethodGet)
		if got := fmt.Sprint(resp.StatusCode, " ", body, " ", resp.Header.Get("X-Site"), resp.Header.Get("Location")); !strings.HasPrefix(got, want) {
			t.Errorf("%s%s: %q, want %q", host, path, got, want)
		}
		if resp.Close {
			_ = c.Close()
			c = x.dial()
		}
	}
	ask("a.test", "/", "200 a one")
	ask("b.test", "/gone", "301 ")
	ask("b.test", "/", "200 b ")
	x.must(fmt.Sprintf(sites, b.URL, "two"))
	ask("a.test", "/", "200 b two")
	ask("b.test", "/", "421 ")
	if _, body := x.post("/publish?channel=public", ""); !strings.Contains(body, `"subscribers":1`) {
		t.Errorf("the held connection: %s", body)
	}
	if _, err := x.with(fmt.Sprintf(sites, "http://127.0.0.1:1", "three") + "  nonsense: 1\n"); err == nil {
		t.Error("nonsense is in use")
	}
	ask("a.test", "/", "200 b two")
	x.must(fmt.Sprintf(sites, a.URL, "four") + strings.Replace(other, "redirect: /new", "deny: [/gone]", 1))
	ask("a.test", "/", "200 a four")
	ask("b.test", "/gone", "404 ")
	_ = held.Close()
	_ = c.Close()
}

// TestReloadKeepsUpstreams: an upstream that stays keeps its connections and its count of requests.
func TestReloadKeepsUpstreams(t *testing.T) {
	a := newNamedApp(t, "a")
	x := serveReloaded(t, "upstream: "+a.URL)
	dialled := func() int64 { return x.proxy.Stats().Dialled }
	for i := range 5 {
		if got := x.get("/"); got != "200 a" {
			t.Fatal(got)
		}
		x.must(fmt.Sprintf("upstream: %s\nupstream_pool: {idle_timeout: 1m, max_conns: 1}\ntimeouts: {body: %ds}", a.URL, 10+i))
	}
	if n := dialled(); n > int64(len(x.poller.Loops())) {
		t.Errorf("%d connections were made to the app", n)
	}
	c := x.dial()
	c.Send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
	wiretest.Eventually(t, "it has begun", func() bool { return x.proxy.Upstreams().Servers()[0].Active() == 1 })
	x.must("upstream: " + a.URL + "\nupstream_pool: {max_conns: 1, max_queue: 0}")
	if got := x.get("/"); !strings.HasPrefix(got, "503 ") {
		t.Errorf("beyond max_conns: %s", got)
	}
	x.must("upstream: " + a.URL + "\nupstream_pool: {max_conns: 2, max_queue: 0}")
	if got := x.get("/"); got != "200 a" {
		t.Error(got)
	}
	a.goOn()
	if _, body := c.Response(http.MethodGet); body != "a whole" {
		t.Error(body)
	}
	wiretest.Eventually(t, "nothing is in progress", func() bool { return x.proxy.Upstreams().Servers()[0].Active() == 0 })
	_ = c.Close()
}

// TestReloadReleasesQueue: a request that waits for an upstream gets it when a request of another configuration is done.
func TestReloadReleasesQueue(t *testing.T) {
	a := newNamedApp(t, "a")
	text := "upstream: " + a.URL + "\nupstream_pool: {max_conns: 1, fail_timeout: %ds}"
	x := serveReloaded(t, fmt.Sprintf(text, 10))
	first, second := x.dial(), x.dial()
	first.Send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
	wiretest.Eventually(t, "it has begun", func() bool { return x.proxy.Upstreams().Servers()[0].Active() == 1 })
	second.Send("GET /second HTTP/1.1\r\nHost: a.test\r\n\r\n")
	wiretest.Eventually(t, "it waits", func() bool { return x.proxy.Stats().Queued == 1 })
	x.must(fmt.Sprintf(text, 20))
	a.goOn()
	for _, c := range []*wiretest.Client{first, second} {
		if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || !strings.HasPrefix(body, "a") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		_ = c.Close()
	}
}

// TestReloadOfApp: authorization requests go to the upstream that is in use, and a cached one of the old app is not used.
func TestReloadOfApp(t *testing.T) {
	authorizing := func(status int) *httptest.Server {
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(app.Close)
		return app
	}
	text := "push: {authorize_path: /auth, authorize_cache: 10m}\nchannels: [{match: a, access: authorize}]\nupstream: "
	x := serveReloaded(t, text+authorizing(204).URL)
	if got := x.get("/_push?channel=a&wait=0"); !strings.HasPrefix(got, "200 ") {
		t.Error(got)
	}
	x.must(text + authorizing(403).URL)
	if got := x.get("/_push?channel=a&wait=0"); !strings.HasPrefix(got, "403 ") {
		t.Error(got)
	}
}

// TestReloadRefusesPolls: rules of polls and cache need a restart, wherever they are.
func TestReloadRefusesPolls(t *testing.T) {
	x := serveReloaded(t, withPolls)
	for text, want := range map[string]string{
		strings.Replace(withPolls, "1h", "2h", 1): "needs a take-over (holdfast takeover) or a restart: polls[0].fresh",
		"": "needs a take-over (holdfast takeover) or a restart: polls",
		withPolls + "routes: [{match: /x, polls: [{match: /x/y, shared: true}]}]": "needs a take-over (holdfast takeover) or a restart: polls and cache",
	} {
		if _, err := x.with(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	x.must(withPolls + "timeouts: {send: 10s}")
}
