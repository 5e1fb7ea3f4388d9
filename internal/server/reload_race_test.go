package server

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// TestReloadCertificate: a certificate that a reload replaces, by its file or by its name, is that of the next handshake, and
// held connections with TLS of both versions stay and receive what is published.
func TestReloadCertificate(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a.pem"), filepath.Join(dir, "b.pem")
	serial := writeCert(t, first, "a.test")
	text := "listen: [{address: '127.0.0.1:0', tls: true}]\nchannels: [{match: a, access: public}]\npush: {poll_wait: 2m}\ntls: {certificates: [{cert: %s, key: %[1]s}]}\n"
	x := serveBelow(t, apiTop, fmt.Sprintf(text, first))
	shown := func(what string, want *big.Int) {
		t.Helper()
		c := dialTLS(t, dialTCP(t, x.Addr().String()), "a.test", 0)
		defer c.Close() //nolint:errcheck // the handshake is all of it
		if got := c.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(want) != 0 {
			t.Errorf("%s: certificate %s, want %s", what, got, want)
		}
	}
	shown("at first", serial)
	const holds = 24
	var held []*wiretest.Client
	for i := range holds {
		c := wiretest.NewClient(t, dialTLS(t, dialTCP(t, x.Addr().String()), "a.test", []uint16{tls.VersionTLS13, tls.VersionTLS12}[i%2]))
		c.Send("GET /_push?channel=a HTTP/1.1\r\nHost: a.test\r\n" + []string{wsFields, sseFields, ""}[i%3] + "\r\n")
		held = append(held, c)
	}
	wiretest.Eventually(t, "all are held", func() bool { return x.held() == holds })
	serial = writeCert(t, first, "a.test")
	x.must(fmt.Sprintf(text, first))
	shown("another in the same file", serial)
	serial = writeCert(t, second, "a.test")
	x.must(fmt.Sprintf(text, second))
	shown("another file", serial)
	if err := os.WriteFile(second, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := x.with(fmt.Sprintf(text, second)); err == nil || !strings.Contains(err.Error(), "tls: "+second) {
		t.Errorf("a file without a certificate: %v", err)
	}
	shown("when the new one is not fit", serial)
	if _, body := x.post("/publish?channel=a", ""); !strings.Contains(body, fmt.Sprintf(`"subscribers":%d`, holds)) {
		t.Errorf("the publish: %s", body)
	}
	for i, c := range held {
		if !readUntil(c, "x") {
			t.Errorf("connection %d has not got the message", i)
		}
		_ = c.Close()
	}
}

// TestReloadWhileAuthorizing: a request whose authorization is in progress when the rules change gets its channel by the new
// ones, or is turned away.
func TestReloadWhileAuthorizing(t *testing.T) {
	const ask, other = "channels: [{match: a, access: authorize}]\n", "push: {authorize_path: /auth, authorize_cache: 10m%s}\nupstream: "
	for name, tt := range map[string]struct {
		rules string // of the new configuration
		more  string // in its push
		want  string
	}{
		"same rules":           {ask, "", "200 "},
		"no rule":              {"channels: [{match: b, access: public}]\n", "", "503 "},
		"of another user":      {"channels: [{match: 'user.{user}', access: authorize}]\n", "", "503 "},
		"a token, too":         {"channels: [{match: a, access: token}]\n", ", jwt: {key: 0123456789abcdef0123456789abcdef}", "503 "},
		"public":               {"channels: [{match: a, access: public}]\n", "", "200 "},
		"more for the channel": {"channels: [{match: a, access: authorize, history: {messages: 5, age: 1m}}]\n", "", "200 "},
	} {
		t.Run(name, func(t *testing.T) {
			goOn := make(chan struct{})
			release := sync.OnceFunc(func() { close(goOn) })
			var asked atomic.Int64
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				<-goOn
				w.WriteHeader(204)
			}))
			t.Cleanup(app.Close)
			t.Cleanup(release)
			x := serveReloaded(t, ask+fmt.Sprintf(other, "")+app.URL)
			var clients []*wiretest.Client
			for i, fields := range []string{"", sseFields, wsFields} { // with a header each, or they would share one request
				clients = append(clients, x.hold("channel=a&wait=0", fmt.Sprintf("%sUser-Agent: %d\r\n", fields, i)))
			}
			wiretest.Eventually(t, "all are being decided", func() bool { return asked.Load() == 3 })
			x.must(tt.rules + fmt.Sprintf(other, tt.more) + app.URL)
			release()
			resp, body := clients[0].Response(http.MethodGet)
			if got := fmt.Sprint(resp.StatusCode, " ", body); !strings.HasPrefix(got, tt.want) {
				t.Errorf("the long poll: %s, want %s", got, tt.want)
			}
			allowed := tt.want == "200 "
			if allowed {
				wiretest.Eventually(t, "the others are held", func() bool { return x.held() == 2 })
			} else if all, _ := clients[1].Rest(); !strings.HasPrefix(all, "HTTP/1.1 503") && !strings.Contains(all, "retry:") {
				t.Errorf("the stream: %q", all)
			}
			for _, c := range clients {
				_ = c.Close()
			}
			if !allowed {
				wiretest.Eventually(t, "nothing is held", func() bool { return x.held() == 0 })
				if log := x.log.String(); !strings.Contains(log, "the rules in channels have changed while it was decided") {
					t.Error(log)
				}
			}
		})
	}
}

// TestReloadOfAppWhileAuthorizing: the response of the app of before is that of the requests that have begun, and of no later
// one: it is not cached.
func TestReloadOfAppWhileAuthorizing(t *testing.T) {
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	var asked atomic.Int64
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-goOn
		w.WriteHeader(204)
	}))
	t.Cleanup(old.Close)
	t.Cleanup(release)
	strict := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }))
	t.Cleanup(strict.Close)
	const text = "push: {authorize_path: /auth, authorize_cache: 10m}\nchannels: [{match: a, access: authorize}]\nupstream: "
	x := serveReloaded(t, text+old.URL)
	early := x.hold("channel=a&wait=0", "")
	wiretest.Eventually(t, "it is being decided", func() bool { return asked.Load() == 1 })
	x.must(text + strict.URL)
	if got := x.get("/_push?channel=a&wait=0"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("during the old request: %s", got)
	}
	release()
	if resp, body := early.Response(http.MethodGet); resp.StatusCode != 200 {
		t.Errorf("the early one: %d %s", resp.StatusCode, body)
	}
	if got := x.get("/_push?channel=a&wait=0"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("after it: %s", got)
	}
	_ = early.Close()
}

// TestReloadHeartbeats: connections that were held without heartbeats get them once push.heartbeat is set.
func TestReloadHeartbeats(t *testing.T) {
	const text = "channels: [{match: a, access: public}]\npush: {heartbeat: %s}"
	x := serveReloaded(t, fmt.Sprintf(text, "0"))
	sse, ndjson, ws := x.hold("channel=a", sseFields), x.hold("channel=a", "Accept: application/x-ndjson\r\n"), x.hold("channel=a", wsFields)
	wiretest.Eventually(t, "all are held", func() bool { return x.held() == 3 })
	x.must(fmt.Sprintf(text, "1s"))
	if !readUntil(sse, "\n:") || !readUntil(ndjson, "\r\n\r\n") || !readUntil(ndjson, "\n") || !readUntil(ws, "\x89\x00") {
		t.Error("no heartbeat")
	}
	for _, c := range []*wiretest.Client{sse, ndjson, ws} {
		_ = c.Close()
	}
}

// TestReloadHeldPoll: a poll that is held goes on. What ends it is asked by the rules of then: of the app that is in use, and
// only if its client may have it.
func TestReloadHeldPoll(t *testing.T) {
	const polls = "push: {logout: {cookies: [sid]}}\nchannels: [{match: '**', access: public}]\ntimeouts: {upstream: 5s}\n" +
		"polls: [{match: /fetch, key: [query, session], channel: 'parcel.{query.id}', fresh: 1h, hold: 1m}]\n"
	for name, tt := range map[string]struct{ more, want string }{
		"another app":      {"", "200 b fetched"},
		"denied":           {"deny: [/fetch]\n", "404 "},
		"only for others":  {"allow: [10.0.0.0/8]\n", "403 "},
		"another response": {"headers: {X-New: 'yes'}\n", "200 b fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newNamedApp(t, "a"), newNamedApp(t, "b")
			a.goOn()
			b.goOn()
			x := serveReloaded(t, polls+"upstream: "+a.URL)
			var c *wiretest.Client
			ended := func() int64 { return x.cache.polls().Stats().Ended["timeout"] }
			for conclusive := false; !conclusive; { // one may be held for a second only, which a slow machine takes to reload
				x.must(polls + "upstream: " + a.URL)
				x.cache.Store.InvalidateChannel("parcel.1")
				before := ended()
				c = x.dial()
				poll := func() {
					c.Send("GET /fetch?id=1 HTTP/1.1\r\nHost: a.test\r\nCookie: sid=ann\r\nUser-Agent: b\r\n\r\n")
				}
				poll()
				if _, body := c.Response(http.MethodGet); body != "a fetched" {
					t.Fatal(body)
				}
				poll()
				wiretest.Eventually(t, "the poll is held", func() bool { return x.cache.polls().Stats().Held == 1 || ended() > before })
				x.must(polls + "upstream: " + b.URL + "\n" + tt.more)
				a.Close()
				x.post("/publish?channel=parcel.1", "")
				conclusive = ended() == before
			}
			resp, body := c.Response(http.MethodGet)
			if got := fmt.Sprint(resp.StatusCode, " ", body); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if want := strings.Contains(tt.more, "X-New"); (resp.Header.Get("X-New") == "yes") != want {
				t.Errorf("%v", resp.Header)
			}
			_ = c.Close()
		})
	}
}

// TestReloadWhileLoginIsVerified: a login that is being verified when the users change is judged by those of then.
func TestReloadWhileLoginIsVerified(t *testing.T) {
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), 11)
	if err != nil {
		t.Fatal(err)
	}
	with, without := filepath.Join(dir, "with"), filepath.Join(dir, "without")
	for file, user := range map[string]string{with: "alice", without: "bob"} {
		if err := os.WriteFile(file, []byte(user+":"+string(hash)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app := newApp(t)
	text := func(users string) string { return "upstream: " + app + "\nbasic_auth: " + users }
	x := serveReloaded(t, text(with))
	waiting := func() (n int64) {
		var count atomic.Int64
		x.poller.VisitAll(nil, func(c *park.Conn) {
			if fmt.Sprintf("%T", c.Handler()) == "*admit.pending" {
				count.Add(1)
			}
		})()
		return count.Load()
	}
	login := func(password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+password)) + "\r\n"
	}
	for i := 0; ; i++ {
		c, before := x.dial(), x.dial()
		before.Send("GET / HTTP/1.1\r\nHost: a.test\r\n" + login(fmt.Sprint("wrong ", i)) + "\r\n") // keeps the workers busy
		c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n" + login("secret") + "\r\n")
		wiretest.Eventually(t, "it is verified", func() bool { return waiting() > 0 })
		x.must(text(without))
		across := waiting() == 2
		resp, _ := c.Response(http.MethodGet)
		_ = c.Close()
		_ = before.Close()
		if across {
			if resp.StatusCode != 401 {
				t.Errorf("status %d", resp.StatusCode)
			}
			return
		}
		x.must(text(with)) // it was verified before: again
	}
}
