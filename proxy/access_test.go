package proxy

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/deny"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/wiretest"
)

// aliceHash is bcrypt's of "secret", at the least cost.
const aliceHash = "$2y$04$isR/n3nDlW951k9aUR8N3e0GDNao.TgeFZuR7nQGA3QrAc7EmCqU2"

func loginOf(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// closedTo returns settings like those of o, with rules.
func closedTo(t testing.TB, o *Options, allow, denied, users string) *route.Settings {
	t.Helper()
	s := o.Settings
	addresses, err := access.NewAddresses(strings.Fields(allow), strings.Fields(denied))
	if err != nil {
		t.Fatal(err)
	}
	s.Access = &access.Rules{Addresses: addresses}
	if users != "" {
		name := filepath.Join(t.TempDir(), "users")
		if err := os.WriteFile(name, []byte(users), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.Access.Basic, err = access.NewBasic(access.BasicOptions{File: name, Guesses: access.NewGuesses()}); err != nil {
			t.Fatal(err)
		}
	}
	return &s
}

// held stands for the push path: it answers what it is given.
type held struct{ resume func(*park.Conn) }

func (held) Owns(path []byte) bool { return strings.HasPrefix(string(path), "/closed/_push") }

func (p held) Serve(c *park.Conn, _ *request.Request) {
	c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld"))
	p.resume(c)
}

// accessWorld runs a proxy with open, closed and private paths.
func accessWorld(t *testing.T) (addr string, u *wiretest.Upstream, p *Proxy) {
	t.Helper()
	u = wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, body []byte) []byte {
		if to := r.URL.Query().Get("to"); to != "" {
			return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: %s\r\nContent-Length: 0\r\n\r\n", to)
		}
		return ok(fmt.Sprintf("%s %s %d %s", r.Method, r.RequestURI, len(body), r.Header.Get("Authorization")))
	}))
	addr, p = start(t, u.Addr, trusting, func(o *Options) {
		list, err := deny.New([]string{"*.sql", "/closed/_push/no"})
		if err != nil {
			t.Fatal(err)
		}
		open := o.Settings
		open.Deny = list
		private := closedTo(t, o, "192.0.2.0/24 2001:db8::/32", "192.0.2.9", "")
		private.Access.Status = 404
		closed := closedTo(t, o, "", "", "alice:"+aliceHash)
		closed.Deny = list
		o.Settings = open
		o.Routes = []Route{
			{Match: "/private", Whole: true, Settings: private},
			{Match: "/closed", Whole: true, Settings: closed},
			{Match: "/within", Whole: true, Internal: true, Settings: closedTo(t, o, "192.0.2.0/24", "", "")},
			{Match: "/moved", Whole: true, Redirect: "/elsewhere", Settings: closed},
		}
		o.Local = held{func(c *park.Conn) { p.Resume(c, nil, true) }}
	})
	return addr, u, p
}

// TestAccess: each client gets what it may have, over one connection.
func TestAccess(t *testing.T) {
	addr, u, p := accessWorld(t)
	good, bad := loginOf("alice", "secret"), loginOf("alice", "guess")
	from := func(a string) string { return "X-Forwarded-For: 192.0.2.1, " + a }
	upgrade := "Upgrade: websocket\r\nConnection: Upgrade"
	for _, tt := range []struct {
		name   string
		target string
		fields []string
		status int
	}{
		{"open", "/", nil, 200},
		{"denied path", "/a/dump.SQL", nil, 404},
		{"an allowed address", "/private/x", []string{from("192.0.2.7")}, 200},
		{"mapped", "/private/x", []string{from("::ffff:192.0.2.7")}, 200},
		{"IPv6", "/private/x", []string{from("2001:db8::1")}, 200},
		{"through two proxies", "/private/x", []string{from("192.0.2.7, 10.0.0.1")}, 200},
		{"a denied address", "/private/x", []string{from("192.0.2.9")}, 404},
		{"another address", "/private/x", []string{from("198.51.100.1")}, 404},
		{"no address", "/private/x", nil, 404},
		{"a forged address", "/private/x", []string{from("198.51.100.1"), "X-Real-IP: 192.0.2.7"}, 404},
		{"another spelling", "/%70rivate/x", []string{from("198.51.100.1")}, 404},
		{"WebSocket", "/private/x", []string{from("198.51.100.1"), upgrade}, 404},
		{"no login", "/closed/x", nil, 401},
		{"a bad login", "/closed/x", []string{bad}, 401},
		{"a login", "/closed/x", []string{good}, 200},
		{"the same again", "/closed/x", []string{good}, 200},
		{"WebSocket without a login", "/closed/x", []string{upgrade}, 401},
		{"push path without a login", "/closed/_push?channel=a", []string{"Accept: text/event-stream"}, 401},
		{"push WebSocket without a login", "/closed/_push?channel=a", []string{upgrade}, 401},
		{"push path with a bad login", "/closed/_push?channel=a", []string{bad}, 401},
		{"push path", "/closed/_push?channel=a", []string{good}, 200},
		{"push path that deny names, which is not the app's", "/closed/_push/no", []string{good}, 200},
		{"redirect without a login", "/moved/x", nil, 401},
		{"redirect", "/moved/x", []string{good}, 301},
		{"within the proxy, not allowed", "/?to=/within/x", nil, 403},
		{"within the proxy", "/?to=/within/x", []string{from("192.0.2.7")}, 200},
		{"within the proxy, closed", "/?to=/closed/x", nil, 403},
		{"within the proxy, with a login that is known", "/?to=/closed/x", []string{good}, 200},
		{"an internal path", "/within/x", []string{from("192.0.2.7")}, 404},
	} {
		c := wiretest.Dial(t, addr)
		before := len(u.Sent())
		c.Send(lines(append([]string{"GET " + tt.target + " HTTP/1.1", "Host: x"}, tt.fields...)...))
		resp, body := c.Response("GET")
		if resp.StatusCode != tt.status {
			t.Errorf("%s: status %d %q; want %d", tt.name, resp.StatusCode, body, tt.status)
		}
		if challenge := resp.Header.Get("WWW-Authenticate"); (challenge == `Basic realm="Restricted", charset="UTF-8"`) != (tt.status == 401) {
			t.Errorf("%s: challenge %q", tt.name, challenge)
		}
		if tt.status >= 400 && tt.status != 403 && len(u.Sent()) != before {
			t.Errorf("%s: the app was asked", tt.name)
		}
		if tt.name == "an internal path" { // it is refused before there is a route
			continue
		}
		c.Send(lines("GET /open HTTP/1.1", "Host: x"))
		if resp, body := c.Response("GET"); resp.StatusCode != 200 || !strings.HasPrefix(body, "GET /open") {
			t.Errorf("%s: the connection does not go on: %d %q", tt.name, resp.StatusCode, body)
		}
	}
	denied := p.Stats().Denied
	for reason, want := range map[string]int64{"path": 1, "address": 7, "no_login": 6, "login": 2} {
		if denied[reason] != want {
			t.Errorf("%s: %d; want %d", reason, denied[reason], want)
		}
	}
}

// TestLoginWithin: a route to which an app redirects within the proxy verifies a login as it does for a client, however long ago
// that was done before.
func TestLoginWithin(t *testing.T) {
	addr, u, p := accessWorld(t)
	for _, tt := range []struct {
		name   string
		login  []string
		status int
	}{
		{"none", nil, 403},
		{"not known yet", []string{loginOf("alice", "secret")}, 200},
		{"known", []string{loginOf("alice", "secret")}, 200},
		{"bad", []string{loginOf("alice", "guess")}, 403},
	} {
		c := wiretest.Dial(t, addr)
		before := len(u.Sent())
		c.Send(lines(append([]string{"GET /?to=/closed/x HTTP/1.1", "Host: x"}, tt.login...)...) + lines("GET /open HTTP/1.1", "Host: x"))
		if resp, body := c.Response("GET"); resp.StatusCode != tt.status {
			t.Errorf("%s: %d %q", tt.name, resp.StatusCode, body)
		}
		if resp, body := c.Response("GET"); resp.StatusCode != 200 || !strings.HasPrefix(body, "GET /open") {
			t.Errorf("%s: the connection does not go on: %d %q", tt.name, resp.StatusCode, body)
		}
		if asked := strings.Contains(u.Sent()[before:], "GET /closed/x"); asked != (tt.status == 200) {
			t.Errorf("%s: the app was asked: %v", tt.name, asked)
		}
	}
	if d := p.Stats().Denied; d["no_login"] != 1 || d["login"] != 1 {
		t.Errorf("counts %v", d)
	}
	for range 20 { // who leave meanwhile
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET /?to=/closed/x HTTP/1.1", "Host: x", loginOf("alice", "guess")))
		c.Conn.Close()
	}
	wiretest.Eventually(t, "no request is in progress", func() bool { return p.Stats().InFlight == 0 })
}

// TestLoginWithBody: what comes behind a head while a login is verified is not lost, whatever the result.
func TestLoginWithBody(t *testing.T) {
	addr, u, _ := accessWorld(t)
	for i, password := range []string{"secret", "secret", "guess"} { // verified, known, refused
		c := wiretest.Dial(t, addr)
		c.Send(lines("POST /closed/x HTTP/1.1", "Host: x", "Content-Length: 10", loginOf("alice", password)) + "01234")
		time.Sleep(time.Duration(i) * 5 * time.Millisecond)
		c.Send("56789" + lines("GET /open HTTP/1.1", "Host: x"))
		resp, body := c.Response("POST")
		if password == "guess" {
			if resp.StatusCode != 401 {
				t.Errorf("status %d", resp.StatusCode)
			}
			if strings.Contains(u.Sent(), "open HTTP") && i == 0 {
				t.Error("a body became a request")
			}
			continue
		}
		if resp.StatusCode != 200 || !strings.HasPrefix(body, "POST /closed/x 10 Basic ") {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
		if resp, body := c.Response("GET"); resp.StatusCode != 200 || !strings.HasPrefix(body, "GET /open 0") {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
	c := wiretest.Dial(t, addr) // nobody is asked to send a body that is not read
	c.Send(lines("POST /closed/x HTTP/1.1", "Host: x", "Content-Length: 10", "Expect: 100-continue"))
	if all, _ := c.Rest(); !strings.HasPrefix(all, "HTTP/1.1 401 ") {
		t.Errorf("%q", all)
	}
	c = wiretest.Dial(t, addr)
	c.Send(lines("POST /closed/x HTTP/1.1", "Host: x", "Content-Length: 10", "Expect: 100-continue", loginOf("alice", "secret")))
	c.Expect("HTTP/1.1 100 Continue\r\n\r\n")
	c.Send("0123456789")
	if resp, body := c.Response("POST"); resp.StatusCode != 200 || !strings.HasPrefix(body, "POST /closed/x 10 ") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// TestClientGoneDuringLogin: clients that leave while their login is verified leave nothing behind; those that end only their side
// have their response.
func TestClientGoneDuringLogin(t *testing.T) {
	addr, _, p := accessWorld(t)
	for i := range 20 {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET /closed/x HTTP/1.1", "Host: x", loginOf("alice", fmt.Sprint("guess", i))))
		c.Conn.Close()
	}
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /closed/x HTTP/1.1", "Host: x", "X-Forwarded-For: 192.0.2.77", loginOf("alice", "secret")))
	c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	if resp, body := c.Response("GET"); resp.StatusCode != 200 {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	wiretest.Eventually(t, "no request is in progress", func() bool { return p.Stats().InFlight == 0 })
}

// TestManyLogins: guesses of one address end in 429 soon, and a login from elsewhere is not kept waiting for them.
func TestManyLogins(t *testing.T) {
	addr, _, p := accessWorld(t)
	var clients []*wiretest.Client
	for i := range 100 {
		c := wiretest.Dial(t, addr)
		c.Send(lines("GET /closed/x HTTP/1.1", "Host: x", "Connection: close", loginOf("alice", fmt.Sprint("guess", i))))
		clients = append(clients, c)
	}
	statuses := map[int]int{}
	for _, c := range clients {
		resp, _ := c.Response("GET")
		statuses[resp.StatusCode]++
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if statuses[401] < 11 || statuses[401] > 13 || statuses[401]+statuses[429] != 100 {
		t.Errorf("statuses %v", statuses)
	}
	if d := p.Stats().Denied; d["login"] != int64(statuses[401]) || d["guessing"] != int64(statuses[429]) {
		t.Errorf("counts %v", d)
	}
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /closed/x HTTP/1.1", "Host: x", "X-Forwarded-For: 192.0.2.77", loginOf("alice", "secret")))
	if resp, _ := c.Response("GET"); resp.StatusCode != 200 {
		t.Errorf("from elsewhere: %d", resp.StatusCode)
	}
}

// TestRefusedLogin: the log of refusals names the key, and no password.
func TestRefusedLogin(t *testing.T) {
	var log wiretest.Log
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr, func(o *Options) {
		o.Settings = *closedTo(t, o, "127.0.0.1", "", "alice:"+aliceHash)
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET /x HTTP/1.1", "Host: x", loginOf("ali\"ce", "topsecret")))
	c.Response("GET")
	got := log.String()
	if !strings.Contains(got, "see basic_auth") || !strings.Contains(got, `user="ali\"ce"`) || strings.Contains(got, "topsecret") {
		t.Error(got)
	}
}
