package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/tlsconn"
	"holdfast/internal/wiretest"
)

// securedProxy is a proxy with TLS on both sides.
type securedProxy struct {
	addr  string
	proxy *Proxy
	trust *tls.Config // of clients, also of the proxy as a client
}

// startSecured runs a proxy with TLS on both sides, in front of an upstream that serve handles.
func startSecured(t *testing.T, version uint16, serve func(c *wiretest.Recorded), change ...func(*tls.Config)) *securedProxy {
	t.Helper()
	cert, pool := wiretest.Certificate()
	server := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version}
	x := &securedProxy{trust: &tls.Config{RootCAs: pool, ServerName: "app.test"}}
	up := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		secure := tls.Server(c.Conn, server)
		c.Conn = secure
		serve(c)
		secure.Close()
	})
	log := slog.New(slog.DiscardHandler)
	p, err := park.New(park.Options{Loops: 2, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	toApp := x.trust.Clone()
	for _, f := range change {
		f(toApp)
	}
	o := Options{
		Upstreams: []Upstream{{Network: "tcp", Address: up.Addr, Host: "app.test", TLS: tlsconn.NewClient(p, wiretest.Timeout, log).Upstream(toApp)}},
		Pool:      8, PoolIdle: time.Minute, HeaderTime: wiretest.Timeout, IdleTime: wiretest.Timeout, HeaderBytes: 16 << 10, HeaderFields: 100, Log: log,
	}
	o.Settings.BodyTime, o.Settings.SendTime, o.Settings.ConnectTime = wiretest.Timeout, wiretest.Timeout, wiretest.Timeout
	o.Settings.UpstreamTime, o.Settings.TunnelTime, o.Settings.StreamUploads = wiretest.Timeout, wiretest.Timeout, true
	x.proxy = New(p, o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.addr = ln.Addr().String()
	if err := p.Listen(ln, tlsconn.NewServer(p, tlsconn.Options{Config: server, Log: log}).Accept(x.proxy.Accept)); err != nil {
		t.Fatal(err)
	}
	wiretest.Serve(t, p)
	return x
}

func (x *securedProxy) dial(t *testing.T) *wiretest.Client {
	t.Helper()
	c, err := tls.Dial("tcp", x.addr, x.trust)
	if err != nil {
		t.Fatal(err)
	}
	return wiretest.NewClient(t, c)
}

func eachTLS(t *testing.T, f func(t *testing.T, version uint16)) {
	t.Run("1.3", func(t *testing.T) { f(t, tls.VersionTLS13) })
	t.Run("1.2", func(t *testing.T) { f(t, tls.VersionTLS12) })
}

// TestTLSBothSides: requests of one connection, with bodies of every size both ways, over one connection to the app, which
// is told that the client used https.
func TestTLSBothSides(t *testing.T) {
	eachTLS(t, func(t *testing.T, version uint16) {
		protos := make(chan string, 100)
		x := startSecured(t, version, wiretest.Answer(func(r *http.Request, body []byte) []byte {
			protos <- r.Header.Get("X-Forwarded-Proto") + " " + r.Header.Get("X-Forwarded-Port")
			return ok(string(body))
		}))
		c := x.dial(t)
		for _, n := range []int{0, 1, 1000, 16 << 10, 100_000, 3 << 20} {
			body := strings.Repeat("b", n)
			c.Send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n%s", n, n, body))
			if r, got := c.Response("POST"); r.StatusCode != 200 || got != body {
				t.Fatalf("%d bytes: status %d, %d bytes", n, r.StatusCode, len(got))
			}
			if proto := <-protos; proto != "https 443" {
				t.Errorf("X-Forwarded-Proto and -Port are %s", proto)
			}
		}
		// Requests that arrive together.
		c.Send(strings.Repeat("GET /piped HTTP/1.1\r\nHost: app.test\r\n\r\n", 50))
		for range 50 {
			if r, _ := c.Response("GET"); r.StatusCode != 200 {
				t.Fatalf("status %d", r.StatusCode)
			}
		}
		if n := x.proxy.Stats().Dialled; n != 1 {
			t.Errorf("%d connections to the app", n)
		}
	})
}

// TestTLSTunnel: after a 101, both sides send and end as they like.
func TestTLSTunnel(t *testing.T) {
	eachTLS(t, func(t *testing.T, version uint16) {
		x := startSecured(t, version, func(c *wiretest.Recorded) {
			b := make([]byte, 4096)
			if _, err := c.Read(b); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfirst")
			_, _ = io.Copy(c, c.Conn)
			_, _ = io.WriteString(c, "last")
		})
		secure, err := tls.Dial("tcp", x.addr, x.trust)
		if err != nil {
			t.Fatal(err)
		}
		c := wiretest.NewClient(t, secure)
		c.Send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		c.Expect("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfirst")
		for range 3 {
			c.Send("there and back")
			c.Expect("there and back")
		}
		if err := secure.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.Expect("last")
		if rest, reset := c.Rest(); rest != "" || reset {
			t.Errorf("at the end: %q, reset %v", rest, reset)
		}
	})
}

// TestTLSTruncatedResponse: a response that ends with the app's TCP connection, without close_notify, is not complete.
func TestTLSTruncatedResponse(t *testing.T) {
	eachTLS(t, func(t *testing.T, version uint16) {
		for _, notify := range []bool{true, false} {
			x := startSecured(t, version, func(c *wiretest.Recorded) {
				b := make([]byte, 4096)
				if _, err := c.Read(b); err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nup to the end")
				if !notify {
					c.Conn.(*tls.Conn).NetConn().Close()
				}
			})
			c := x.dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
			rest, reset := c.Rest()
			if complete := strings.HasSuffix(rest, "0\r\n\r\n") && !reset; complete != notify {
				t.Errorf("close_notify %v: got %q, reset %v", notify, rest, reset)
			}
		}
	})
}

// TestTLSUpstreamRefused: an app whose certificate is not trusted gets no request, and the client a 502.
func TestTLSUpstreamRefused(t *testing.T) {
	x := startSecured(t, tls.VersionTLS13, func(c *wiretest.Recorded) { _, _ = io.Copy(io.Discard, c) }, func(c *tls.Config) { c.RootCAs = nil })
	c := x.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	if r, _ := c.Response("GET"); r.StatusCode != 502 {
		t.Errorf("status %d", r.StatusCode)
	}
}
