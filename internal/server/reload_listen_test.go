package server

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/wiretest"
)

const apiTop = "hooks: {listen: 127.0.0.1:0}\n"

// ask sends a request on a connection and returns the status, the body and where it redirects.
func ask(c *wiretest.Client, target string) string {
	c.Send("GET " + target + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
	resp, body := c.Response(http.MethodGet)
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", body, " ", resp.Header.Get("Location")))
}

func unheard(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

// TestReloadListeners: a new address is served, one that is gone takes no connection, and those of before stay.
func TestReloadListeners(t *testing.T) {
	app := newNamedApp(t, "a")
	rest := "\nupstream: " + app.URL + "\nchannels: [{match: a, access: public}]\n"
	x := serveBelow(t, apiTop, "listen: ['127.0.0.1:0', '127.0.0.2:0']"+rest)
	first := x.Addrs()
	stream, held, idle := wiretest.Dial(t, first[1]), wiretest.Dial(t, first[1]), wiretest.Dial(t, first[1])
	stream.Send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
	held.Send("GET /_push?channel=a HTTP/1.1\r\nHost: a.test\r\n" + sseFields + "\r\n")
	if got := ask(idle, "/"); got != "200 a" {
		t.Fatal(got)
	}
	wiretest.Eventually(t, "both are in progress", func() bool { return app.begun.Load() == 2 && x.held() == 1 })
	if got := strings.Join(x.must("listen: ['127.0.0.3:0', '127.0.0.1:0']"+rest), " "); got != "listen[0].address listen[1].address" {
		t.Errorf("changed %s", got)
	}
	second := x.Addrs()
	if len(second) != 2 || second[1] != first[0] || x.Addr().String() != second[0] {
		t.Fatalf("listens on %v, before on %v", second, first)
	}
	if !unheard(first[1]) {
		t.Error("the address that is gone takes connections")
	}
	for _, addr := range second {
		if got := ask(wiretest.Dial(t, addr), "/"); got != "200 a" {
			t.Errorf("%s: %s", addr, got)
		}
	}
	app.goOn()
	if _, body := stream.Response(http.MethodGet); body != "a whole" {
		t.Errorf("the response: %q", body)
	}
	if got := ask(idle, "/"); got != "200 a" {
		t.Errorf("the idle connection: %s", got)
	}
	if _, body := x.post("/publish?channel=a", ""); !strings.Contains(body, `"subscribers":1`) {
		t.Errorf("the held connection: %s", body)
	}
	x.must("listen: ['127.0.0.3:0', '127.0.0.1:0', '127.0.0.2:0']" + rest)
	if third := x.Addrs(); len(third) != 3 || third[0] != second[0] || third[1] != second[1] {
		t.Errorf("listens on %v, before on %v", third, second)
	}
	if log := x.log.String(); !strings.Contains(log, "listeners changed") || !strings.Contains(log, "127.0.0.3:") {
		t.Error(log)
	}
	_ = held.Close()
}

// TestReloadListenersRefused: an address that can't be opened is named, nothing changes, and nothing is left open.
func TestReloadListenersRefused(t *testing.T) {
	taken := wiretest.Listen(t)
	defer taken.Close() //nolint:errcheck // it has accepted nothing
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	app := newApp(t)
	x := serveBelow(t, apiTop, "listen: 127.0.0.1:0\nupstream: "+app)
	_, port, _ := net.SplitHostPort(x.Addr().String())
	x.must("listen: ['127.0.0.1:0', 'unix:" + dir + "/s']\nupstream: " + app)
	before, state := descriptors(), x.state.Load()
	refusals := map[string]string{
		"listen: ['127.0.0.1:0', '127.0.0.2:0', '" + taken.Addr().String() + "']\nupstream: " + app:              "listen[2]: listen tcp4 " + taken.Addr().String() + ": bind: address already in use",
		"listen: ['127.0.0.2:0', 'unix:" + file + "']\nupstream: " + app:                                         "listen[1]: " + file + " is not a socket",
		"listen: ['127.0.0.1:0', '127.0.0.2:0']\nupstream: " + app + "\nlog: {access_log: " + dir + "/none/log}": "needs a take-over (holdfast takeover) or a restart: log.access_log",
		"listen: '127.0.0.2:0'\nupstream: " + app + "\npush: {path: /other}":                                     "needs a take-over (holdfast takeover) or a restart: push.path",
		"listen: '127.0.0.2:0'\nupstream: " + app + "\nbasic_auth: " + dir + "/none":                             "none",
	}
	for range 5 { // what each leaves open would add up
		for text, want := range refusals {
			if _, err := x.with(text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %q", text, err, want)
			}
		}
	}
	if x.state.Load() != state || len(x.Addrs()) != 2 {
		t.Errorf("listens on %v", x.Addrs())
	}
	if got := ask(wiretest.Dial(t, "127.0.0.1:"+port), "/"); got != "200 the app" {
		t.Error(got)
	}
	if b, err := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
	wiretest.Eventually(t, "nothing is left open", func() bool { return descriptors() <= before+4 }) // what get has used
	x.must("listen: ['127.0.0.1:0']\nupstream: " + app)
	if _, err := os.Lstat(dir + "/s"); !os.IsNotExist(err) {
		t.Errorf("the socket of the listener that is gone: %v", err)
	}
}

// TestReloadOverlappingListener: an address that the one of before excludes is refused, with what to do.
func TestReloadOverlappingListener(t *testing.T) {
	free := wiretest.Listen(t)
	_, port, _ := net.SplitHostPort(free.Addr().String())
	_ = free.Close()
	app := newApp(t)
	x := serveBelow(t, apiTop, "listen: 127.0.0.1:"+port+"\nupstream: "+app)
	_, err := x.with("listen: 0.0.0.0:" + port + "\nupstream: " + app)
	if err == nil || !strings.Contains(err.Error(), "it overlaps 127.0.0.1:"+port+", which stays open until this is in use") {
		t.Error(err)
	}
}

// TestReloadListenerSettings: an address that stays is plain, redirects, or has TLS, as the configuration says. Open
// connections go on as they are. The first listener with TLS may come by a reload.
func TestReloadListenerSettings(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "a.pem")
	writeCert(t, cert, "a.test")
	rest := "\nupstream: " + newApp(t) + "\ntrusted_proxies: [10.0.0.0/8]\nchannels: [{match: a, access: public}]\n"
	secure := "listen: [{address: '127.0.0.1:0', tls: true}]" + rest + "tls: {certificates: [{cert: " + cert + ", key: " + cert + "}], hsts: max-age=5}\n"
	x := serveBelow(t, apiTop, "listen: 127.0.0.1:0"+rest)
	addr := x.Addr().String()
	plain := wiretest.Dial(t, addr)
	still := func(when string) {
		t.Helper()
		if got := ask(plain, "/"); got != "200 the app" {
			t.Errorf("the connection of before, %s: %s", when, got)
		}
	}
	still("at first")
	x.must("listen: [{address: '127.0.0.1:0', redirect_https: true}]" + rest)
	if got := ask(wiretest.Dial(t, addr), "/x"); got != "301  https://a.test/x" && !strings.HasPrefix(got, "301 ") {
		t.Errorf("redirected: %s", got)
	}
	still("when others are redirected")
	x.must(secure + "timeouts: {handshake: 5s}\n")
	c := wiretest.NewClient(t, dialTLS(t, dialTCP(t, addr), "a.test", 0))
	if got := ask(c, "/"); got != "200 the app" {
		t.Errorf("over TLS: %s", got)
	}
	held := wiretest.NewClient(t, dialTLS(t, dialTCP(t, addr), "a.test", 0))
	held.Send("GET /_push?channel=a HTTP/1.1\r\nHost: a.test\r\n" + sseFields + "\r\n")
	wiretest.Eventually(t, "it is held", func() bool { return x.held() == 1 })
	still("when others have TLS")
	if _, err := x.with(secure + "timeouts: {handshake: 6s}\n"); err == nil || !strings.Contains(err.Error(), "needs a take-over (holdfast takeover) or a restart: timeouts.handshake") {
		t.Errorf("a key of TLS, once there is TLS: %v", err)
	}
	x.must("listen: 127.0.0.1:0" + rest + "timeouts: {handshake: 5s}\n")
	if got := ask(wiretest.Dial(t, addr), "/"); got != "200 the app" {
		t.Errorf("plain again: %s", got)
	}
	if got := ask(c, "/"); got != "200 the app" {
		t.Errorf("the connection with TLS, when others have none: %s", got)
	}
	if _, body := x.post("/publish?channel=a", ""); !strings.Contains(body, `"subscribers":1`) {
		t.Errorf("the held connection: %s", body)
	}
	if x.Addr().String() != addr {
		t.Errorf("listens on %s, before on %s", x.Addr(), addr)
	}
	_ = held.Close()
}

// TestReloadOwnSocket: where no listener is left that takes Holdfast's own requests as they are, they go by a socket.
func TestReloadOwnSocket(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var asked atomic.Int64
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.Host != "auth.test" {
			t.Errorf("the app was asked as %s", r.Host)
		}
		w.WriteHeader(204)
	}))
	t.Cleanup(auth.Close)
	rest := "\nupstream: " + newApp(t) + "\nroutes: [{match: /auth, upstream: '" + auth.URL + "', upstream_host: auth.test}]\n" +
		"push: {authorize_path: /auth/push}\ntrusted_proxies: [10.0.0.0/8]\nchannels: [{match: a, access: authorize}]\n"
	x := serveBelow(t, apiTop, "listen: ['127.0.0.1:0', '127.0.0.2:0']"+rest)
	subscribes := func(n int64) {
		t.Helper()
		addrs := x.Addrs()
		if got := ask(wiretest.Dial(t, addrs[len(addrs)-1]), "/_push?channel=a&wait=0"); !strings.HasPrefix(got, "200 ") || asked.Load() != n {
			t.Errorf("%s, the app was asked %d times", got, asked.Load())
		}
	}
	subscribes(1)
	x.must("listen: ['127.0.0.2:0']" + rest) // by another listener of clients
	subscribes(2)
	x.must("listen: [{address: '127.0.0.2:0', redirect_https: true}, 'unix:" + dir + "/s']" + rest)
	if !strings.HasSuffix(x.state.Load().at.Own.String(), "/s") {
		t.Errorf("asks by %s", x.state.Load().at.Own)
	}
	cert := filepath.Join(t.TempDir(), "a.pem")
	writeCert(t, cert, "a.test")
	x.must("listen: [{address: '127.0.0.1:0', tls: true}, '127.0.0.2:0']" + rest + "tls: {certificates: [{cert: " + cert + ", key: " + cert + "}]}\n")
	if own := x.state.Load().at; !own.Apart || !strings.HasSuffix(own.Own.String(), "/own") {
		t.Errorf("asks by %s", own.Own)
	}
	subscribes(3)
	x.must("listen: '127.0.0.2:0'" + rest) // it stays
	subscribes(4)
	x.shutDown()
	wiretest.Eventually(t, "nothing is left", func() bool { left, err := os.ReadDir(dir); return err == nil && len(left) == 0 })
}

// descriptors returns how many this process has open; 0 where the system does not say.
func descriptors() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

// TestReloadListenersUnderLoad: 100 reloads while listeners come, go and change close no held connection and fail no
// request of a listener that stays, and leave no descriptor and no goroutine behind.
func TestReloadListenersUnderLoad(t *testing.T) {
	const reloads, holds = 100, 40
	cert := filepath.Join(t.TempDir(), "a.pem")
	writeCert(t, cert, "a.test")
	rest := "\nupstream: " + newApp(t) + "\nchannels: [{match: a, access: public}]\npush: {heartbeat: 0, poll_wait: 2m}\n" +
		"tls: {certificates: [{cert: " + cert + ", key: " + cert + "}]}\n"
	text := func(i int) string {
		extra := []string{"", ", '127.0.0.2:0'", ", {address: '127.0.0.2:0', tls: true}, '127.0.0.3:0'", ", {address: '127.0.0.3:0', redirect_https: true}"}[i%4]
		return "listen: ['127.0.0.1:0', {address: '127.0.0.4:0', tls: true}" + extra + "]" + rest
	}
	x := serveBelow(t, apiTop, text(0))
	addr := x.Addr().String()
	var held []*wiretest.Client
	hold := func(addr string, i int) {
		c := wiretest.Dial(t, addr)
		c.Send("GET /_push?channel=a HTTP/1.1\r\nHost: a.test\r\n" + []string{wsFields, sseFields, ""}[i%3] + "\r\n")
		held = append(held, c)
	}
	for i := range holds {
		hold(addr, i)
	}
	wiretest.Eventually(t, "all are held", func() bool { return x.held() == holds })
	var group sync.WaitGroup
	var requests atomic.Int64
	stopc := make(chan struct{})
	for range 3 {
		group.Go(func() {
			for {
				select {
				case <-stopc:
					return
				default:
				}
				c := wiretest.Dial(t, addr) // each time anew: a listener that stays refuses nobody
				if got := ask(c, "/"); got != "200 the app" {
					t.Error(got)
				}
				_ = c.Close()
				requests.Add(1)
			}
		})
	}
	var open, goroutines int
	for i := range reloads {
		n := requests.Load()
		x.must(text(i + 1))
		if list := x.Addrs(); i%4 == 0 && len(list) == 3 {
			hold(list[2], i) // of a listener that is soon gone
		}
		wiretest.Eventually(t, "requests go on", func() bool { return requests.Load() > n+3 })
		if i == 19 {
			open, goroutines = descriptors()-2*len(held), runtime.NumGoroutine()
		}
	}
	close(stopc)
	group.Wait()
	wiretest.Eventually(t, "all are held", func() bool { return x.held() == int64(len(held)) })
	wiretest.Eventually(t, "no descriptor is left", func() bool { return descriptors()-2*len(held) <= open })
	wiretest.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if _, body := x.post("/publish?channel=a", ""); !strings.Contains(body, fmt.Sprintf(`"subscribers":%d`, len(held))) {
		t.Errorf("the publish: %s", body)
	}
	for _, c := range held {
		_ = c.Close()
	}
}
