package appcall

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/auth"
)

// upstream is an app that answers every request with what respond writes, and writes down what it was
// sent. A connection is closed when respond returns false.
type upstream struct {
	ln      net.Listener
	respond func(c net.Conn, n int) (keep bool) // n counts the requests of all connections, from 1

	mu    sync.Mutex
	heads []string
	conns int
	open  map[net.Conn]bool
}

func startUpstream(t *testing.T, network string, respond func(c net.Conn, n int) bool) *upstream {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "app")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{ln: ln, respond: respond, open: make(map[net.Conn]bool)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns++
			u.open[c] = true
			u.mu.Unlock()
			serving.Go(func() { u.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		u.mu.Lock()
		for c := range u.open {
			_ = c.Close()
		}
		u.mu.Unlock()
		serving.Wait()
	})
	return u
}

func (u *upstream) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		u.mu.Lock()
		delete(u.open, c)
		u.mu.Unlock()
	}()
	br := bufio.NewReader(c)
	for {
		var head strings.Builder
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
		}
		u.mu.Lock()
		u.heads = append(u.heads, head.String())
		n := len(u.heads)
		u.mu.Unlock()
		if !u.respond(c, n) {
			return
		}
	}
}

func (u *upstream) seen() (heads []string, conns int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.heads...), u.conns
}

// always answers with the same bytes; %n in them becomes the number of the request, in two digits.
func always(text string) func(net.Conn, int) bool {
	return func(c net.Conn, n int) bool {
		_, err := io.WriteString(c, strings.ReplaceAll(text, "%n", fmt.Sprintf("%02d", n)))
		return err == nil
	}
}

func jsonAnswer(body string) string { return typed("application/json", body) }

// typed is a 200 of a type; empty: without one.
func typed(kind, body string) string {
	if kind != "" {
		kind = "Content-Type: " + kind + "\r\n"
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", kind, len(body), body)
}

// target is a path of the app behind more, which are used first.
func (u *upstream) target(path string, more ...Endpoint) Target {
	own := Endpoint{Network: u.ln.Addr().Network(), Address: u.ln.Addr().String()}
	return Target{Endpoints: append(more, own), Host: "app.internal", Path: path}
}

func (u *upstream) authorizer(t *testing.T, timeout time.Duration) *Authorizer {
	a := NewAuthorizer(AuthorizerOptions{
		Target: u.target("/push/authorize"), Timeout: timeout,
	})
	t.Cleanup(a.Close)
	return a
}

func TestAuthorizeRequest(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		u := startUpstream(t, network, always("HTTP/1.1 204 No Content\r\n\r\n"))
		a := u.authorizer(t, time.Second)
		query := NewAuthorizer(AuthorizerOptions{Target: u.target("/a%2Fb/../c?mode=x")})
		defer query.Close()
		for _, c := range []struct {
			a       *Authorizer
			request auth.Request
			want    string
		}{
			{a, auth.Request{
				Channels: []string{"orders.42", "a&b=c d/é+"}, Host: "Shop.Example:8443",
				Cookie:        `JSESSIONID=ABC; x="q=1" ;; lone; y=a b,c; =empty; z`,
				Authorization: "Basic dTpw", UserAgent: "Mozilla/5.0 (X11)", AcceptLanguage: "de, en;q=0.5",
				Proto: "https", ClientAddr: "192.0.2.7", ForwardedFor: "203.0.113.9, 192.0.2.7",
				ForwardedHost: "www.example", ForwardedPort: "443",
			}, "GET /push/authorize?channel=orders.42&channel=a%26b%3Dc+d%2F%C3%A9%2B HTTP/1.1\r\n" +
				"Host: Shop.Example:8443\r\n" +
				"Accept: application/json\r\n" +
				"Cookie: JSESSIONID=ABC; x=\"q=1\" ;; lone; y=a b,c; =empty; z\r\n" +
				"Authorization: Basic dTpw\r\n" +
				"User-Agent: Mozilla/5.0 (X11)\r\n" +
				"Accept-Language: de, en;q=0.5\r\n" +
				"X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n" +
				"X-Forwarded-Proto: https\r\n" +
				"X-Forwarded-Host: www.example\r\n" +
				"X-Forwarded-Port: 443\r\n" +
				"X-Real-IP: 192.0.2.7\r\n\r\n"},
			{a, auth.Request{Channels: []string{"a"}, ClientAddr: "2001:db8::1"}, "GET /push/authorize?channel=a HTTP/1.1\r\n" +
				"Host: app.internal\r\n" +
				"Accept: application/json\r\n" +
				"X-Forwarded-For: 2001:db8::1\r\n" +
				"X-Real-IP: 2001:db8::1\r\n\r\n"},
			{query, auth.Request{Channels: []string{"a"}}, "GET /a%2Fb/../c?mode=x&channel=a HTTP/1.1\r\n" +
				"Host: app.internal\r\n" +
				"Accept: application/json\r\n\r\n"},
		} {
			v, err := c.a.Authorize(c.request)
			if err != nil || !v.Allowed {
				t.Fatalf("%s: %+v, %v", network, v, err)
			}
			heads, _ := u.seen()
			if got := heads[len(heads)-1]; got != c.want {
				t.Errorf("%s: app was sent\n%q\nwant\n%q", network, got, c.want)
			}
		}
		if _, conns := u.seen(); conns != 2 {
			t.Errorf("%s: %d connections for 3 requests of 2 authorizers", network, conns)
		}
	}
}

// Line ends in what a client sent do not become fields of their own.
func TestAuthorizeInjection(t *testing.T) {
	u := startUpstream(t, "tcp", always("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
	evil := "x\r\nX-Real-IP: 127.0.0.1\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
	_, err := u.authorizer(t, time.Second).Authorize(auth.Request{
		Channels: []string{evil}, Host: evil, Cookie: evil, Authorization: evil, UserAgent: evil, AcceptLanguage: evil,
		Proto: evil, ClientAddr: evil, ForwardedFor: evil,
	})
	heads, _ := u.seen()
	if err != nil || len(heads) != 1 {
		t.Fatalf("%d requests, %v", len(heads), err)
	}
	if n := strings.Count(heads[0], "\r\n"); n != 12 { // the line, ten fields, the end
		t.Errorf("app was sent %d lines: %q", n, heads[0])
	}
}

// An answer that breaks off lets nobody in, wherever it breaks off and however the connection ends.
func TestAuthorizeCut(t *testing.T) {
	for _, answer := range []string{
		jsonAnswer(`{"user":"u"}`),
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"user\":\"u\"}",
	} {
		for _, reset := range []bool{false, true} {
			u := startUpstream(t, "tcp", func(c net.Conn, n int) bool {
				always(answer[:n-1])(c, n)
				if reset {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				return false
			})
			a := u.authorizer(t, 5*time.Second)
			for cut := range len(answer) {
				v, err := a.Authorize(auth.Request{Channels: []string{"a"}})
				if err == nil || v.Allowed {
					t.Errorf("%q, reset %v: %+v", answer[:cut], reset, v)
				}
			}
			if heads, _ := u.seen(); len(heads) != len(answer) {
				t.Errorf("the app was asked %d times, not %d", len(heads), len(answer))
			}
		}
	}
}

// An app that does not answer in time was asked once and is not asked again.
func TestAuthorizeSlow(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for name, respond := range map[string]func(net.Conn, int) bool{
		"silent": func(net.Conn, int) bool { <-stop; return false },
		"a byte at a time": func(c net.Conn, _ int) bool {
			for _, b := range []byte(jsonAnswer(`{"user":"u"}`)) {
				select {
				case <-stop:
					return false
				case <-time.After(20 * time.Millisecond):
				}
				if _, err := c.Write([]byte{b}); err != nil {
					return false
				}
			}
			return true
		},
	} {
		u := startUpstream(t, "tcp", respond)
		began := time.Now()
		v, err := u.authorizer(t, 100*time.Millisecond).Authorize(auth.Request{Channels: []string{"a"}})
		if !errors.Is(err, ErrNoResult) || v.Allowed {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		if took := time.Since(began); took < 90*time.Millisecond || took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if heads, _ := u.seen(); len(heads) != 1 {
			t.Errorf("%s: the app was asked %d times", name, len(heads))
		}
	}
}

func TestAuthorizeUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	for _, o := range []AuthorizerOptions{
		{Target: Target{Endpoints: []Endpoint{{Network: "tcp", Address: ln.Addr().String()}}, Path: "/a"}},
		{Target: Target{Endpoints: []Endpoint{{Network: "unix", Address: filepath.Join(t.TempDir(), "nothing")}}, Path: "/a"}},
	} {
		a := NewAuthorizer(o)
		if v, err := a.Authorize(auth.Request{Channels: []string{"a"}}); !errors.Is(err, ErrNoResult) || v.Allowed {
			t.Errorf("%s: %+v, %v", o.Target.Endpoints[0].Network, v, err)
		}
		a.Close()
	}
}

// TestAuthorizeElsewhere: an app that is down is asked where else it runs.
func TestAuthorizeElsewhere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	u := startUpstream(t, "tcp", always(jsonAnswer(`{"user":"a"}`)))
	down := Endpoint{Network: "tcp", Address: ln.Addr().String()}
	a := NewAuthorizer(AuthorizerOptions{
		Target: u.target("/a", down, down),
	})
	defer a.Close()
	if v, err := a.Authorize(auth.Request{Channels: []string{"a"}}); err != nil || v.User != "a" {
		t.Errorf("%+v, %v", v, err)
	}
}

// Connections are kept, and one that the app has closed meanwhile costs nobody an answer, nor a second
// request.
func TestAuthorizeReuse(t *testing.T) {
	closeAfter := make(chan struct{})
	u := startUpstream(t, "tcp", func(c net.Conn, n int) bool {
		always(jsonAnswer(`{"user":"%n"}`))(c, n)
		if n == 3 {
			<-closeAfter
			return false
		}
		return true
	})
	a := u.authorizer(t, 5*time.Second)
	ask := func(want string, conns int) {
		t.Helper()
		v, err := a.Authorize(auth.Request{Channels: []string{"a"}})
		if err != nil || v.User != want {
			t.Errorf("%+v, %v; want user %s", v, err, want)
		}
		if _, n := u.seen(); n != conns {
			t.Errorf("%d connections, want %d", n, conns)
		}
	}
	ask("01", 1)
	ask("02", 1)
	ask("03", 1)
	close(closeAfter)
	for range 500 { // until the app's end is closed
		u.mu.Lock()
		open := len(u.open)
		u.mu.Unlock()
		if open == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	ask("04", 2)
	ask("05", 2)
}

// An app that sends two responses to one request does not respond to the next client's.
func TestAuthorizeStrayAnswer(t *testing.T) {
	answered, sent := make(chan struct{}), make(chan struct{})
	u := startUpstream(t, "tcp", func(c net.Conn, n int) bool {
		if n > 1 {
			always("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")(c, n)
			return true
		}
		always(jsonAnswer(`{}`))(c, n)
		<-answered
		always(jsonAnswer(`{"user":"somebody else"}`))(c, n)
		close(sent)
		return true
	})
	a := u.authorizer(t, 5*time.Second)
	if v, err := a.Authorize(auth.Request{Channels: []string{"a"}}); err != nil || !v.Allowed {
		t.Errorf("%+v, %v", v, err)
	}
	close(answered)
	<-sent
	time.Sleep(5 * time.Millisecond)
	if v, err := a.Authorize(auth.Request{Channels: []string{"a"}}); err != nil || v.Allowed || v.Status != 403 {
		t.Errorf("%+v, %v", v, err)
	}
	if _, conns := u.seen(); conns != 2 {
		t.Errorf("%d connections", conns)
	}
}

// No more than MaxConns requests at a time; the others wait, and not longer than Timeout.
func TestAuthorizeMaxConns(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	u := startUpstream(t, "tcp", func(c net.Conn, n int) bool {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return always("HTTP/1.1 204 No Content\r\n\r\n")(c, n)
	})
	a := NewAuthorizer(AuthorizerOptions{Target: u.target("/a"), MaxConns: 2})
	defer a.Close()
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if v, err := a.Authorize(auth.Request{Channels: []string{"a"}}); err != nil || !v.Allowed {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	asking.Wait()
	if _, conns := u.seen(); most > 2 || conns > 2 {
		t.Errorf("%d requests at a time on %d connections, want 2", most, conns)
	}

	stop := make(chan struct{})
	slow := startUpstream(t, "tcp", func(net.Conn, int) bool { <-stop; return false })
	defer close(stop)
	b := NewAuthorizer(AuthorizerOptions{Target: slow.target("/a"), MaxConns: 1, Timeout: 100 * time.Millisecond})
	defer b.Close()
	for range 5 {
		asking.Go(func() {
			began := time.Now()
			if _, err := b.Authorize(auth.Request{Channels: []string{"a"}}); err == nil || time.Since(began) > time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
	asking.Wait()
}
