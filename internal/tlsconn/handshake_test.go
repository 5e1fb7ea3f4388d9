package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// recorder records what a client writes, and where its handshake ends.
type recorder struct {
	net.Conn
	b []byte
}

func (c *recorder) Write(p []byte) (int, error) {
	c.b = append(c.b, p...)
	return c.Conn.Write(p)
}

// cutter writes up to a number of bytes, and then ends the connection.
type cutter struct {
	net.Conn
	left int
}

var errCut = errors.New("cut")

func (c *cutter) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	if n > 0 {
		if _, err := c.Conn.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	if c.left == 0 {
		c.Conn.Close()
		return n, errCut
	}
	return n, nil
}

// TestCut: a client that disconnects after any byte of its handshake, or of its first record, leaves nothing.
func TestCut(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{Handshakes: 8}, echoes)
		var whole *recorder
		client := s.dial(t, clientConfig(version), func(nc net.Conn) net.Conn { whole = &recorder{Conn: nc}; return whole })
		exchange(t, client, "hello")
		total := len(whole.b)
		client.Close()
		step := 1
		if testing.Short() {
			step = 7
		}
		var group sync.WaitGroup
		limit := make(chan struct{}, 16)
		for n := 1; n < total; n += step {
			limit <- struct{}{}
			group.Go(func() {
				defer func() { <-limit }()
				client := tls.Client(&cutter{Conn: s.dialPlain(t), left: n}, clientConfig(version))
				_, _ = io.WriteString(client, "hello")
				_, _ = io.ReadAll(client)
			})
		}
		group.Wait()
		wiretest.Eventually(t, "all closed", func() bool { return s.poller.Stats().Clients == 0 })
		exchange(t, s.dial(t, clientConfig(version), nil), "still here")
	})
}

// TestTimeouts: a client that stops before its first message, within it, or before its last one, is disconnected, and
// occupies no worker before the message is complete.
func TestTimeouts(t *testing.T) {
	s := start(t, Options{Time: 300 * time.Millisecond, Handshakes: 1}, echoes)
	for name, send := range map[string]string{"nothing": "", "a header in part": "\x16\x03", "a message in part": "\x16\x03\x01\x01\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			nc := s.dialPlain(t)
			if _, err := io.WriteString(nc, send); err != nil {
				t.Fatal(err)
			}
			exchange(t, s.dial(t, clientConfig(tls.VersionTLS13), nil), "the one worker is free")
			if _, err := io.ReadAll(nc); err != nil && !isReset(err) {
				t.Error(err)
			}
		})
	}
	t.Run("the last message", func(t *testing.T) {
		nc := s.dialPlain(t)
		client := tls.Client(&stopper{Conn: nc}, clientConfig(tls.VersionTLS13))
		if err := client.Handshake(); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(nc)
		exchange(t, s.dial(t, clientConfig(tls.VersionTLS13), nil), "the one worker is free again")
	})
	wiretest.Eventually(t, "counted", func() bool { return s.Stats().Failures["timeout"] == 4 })
}

// TestHandshakesWait: a handshake beyond the limit waits until there is room, which is counted and logged.
func TestHandshakesWait(t *testing.T) {
	s := start(t, Options{Handshakes: 1, Time: time.Minute, patience: time.Minute}, echoes)
	stopped := s.dialPlain(t)
	if err := tls.Client(&stopper{Conn: stopped}, clientConfig(tls.VersionTLS13)).Handshake(); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	other := tls.Client(s.dialPlain(t), clientConfig(tls.VersionTLS13))
	defer other.Close()
	go func() { done <- other.Handshake() }()
	wiretest.Eventually(t, "it waits", func() bool { x := s.Stats(); return x.Waiting == 1 && x.Queued == 1 })
	wiretest.Eventually(t, "the log says so", func() bool {
		return strings.Contains(s.log.String(), "TLS handshakes wait for their turn: limits.handshakes")
	})
	stopped.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	exchange(t, other, "hello")
}

// stopper writes the first message only. The others go to rest, or fail.
type stopper struct {
	net.Conn
	wrote bool
	rest  io.Writer
}

func (c *stopper) Write(p []byte) (int, error) {
	switch {
	case c.wrote && c.rest != nil:
		return c.rest.Write(p)
	case c.wrote:
		return 0, errCut
	}
	c.wrote = true
	return c.Conn.Write(p)
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "reset") // of whatever system
}

// TestNotTLS: a client that speaks HTTP to the TLS port is told so.
func TestNotTLS(t *testing.T) {
	s := start(t, Options{}, echoes)
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", "G", "\x80\x2e\x01\x03\x01"} {
		nc := s.dialPlain(t)
		if _, err := io.WriteString(nc, request); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(nc)
		head, body, _ := strings.Cut(string(b), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 400 ") || len(body) != 50 || !strings.Contains(body, "https://") {
			t.Errorf("%q: %q, %v", request, b, err)
		}
		nc.Close()
	}
	if n := s.Stats().Failures["not_tls"]; n != 3 {
		t.Errorf("counted %d", n)
	}
	if log := s.log.String(); strings.Count(log, "reason=not_tls") != 1 || !strings.Contains(log, "http:// on a listener with tls") {
		t.Errorf("the log has %s", log)
	}
}

// TestRefused: clients that offer nothing that Holdfast has are refused with the alert for it, a count and a line of
// the log that names the cause.
func TestRefused(t *testing.T) {
	only := func(f func(*tls.Config)) *tls.Config {
		c := clientConfig(0)
		f(c)
		return c
	}
	noCert := serverConfig()
	noCert.Certificates = nil
	noCert.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "app.test" {
			return nil, errors.New("no certificate")
		}
		return &testCert, nil
	}
	s := start(t, Options{Config: noCert}, echoes)
	for _, tt := range []struct {
		name, reason, alert, log string
		client                   *tls.Config
	}{
		{"TLS 1.1", "version", "protocol version", "tls.min_version", only(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })},
		{"CBC", "handshake", "handshake failure", "cipher suite", only(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		})},
		{"RSA key exchange", "handshake", "handshake failure", "cipher suite", only(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		})},
		{"HTTP/2 only", "handshake", "no application protocol", "application protocol", only(func(c *tls.Config) { c.NextProtos = []string{"h2"} })},
		{"another name", "certificate", "internal error", "tls.certificates", only(func(c *tls.Config) { c.ServerName = "other.test" })},
		{"no trust", "alert", "", "does not trust the certificate", only(func(c *tls.Config) { c.RootCAs = nil })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := s.Stats().Failures[tt.reason]
			err := tls.Client(s.dialPlain(t), tt.client).Handshake()
			if err == nil || !strings.Contains(err.Error(), tt.alert) {
				t.Errorf("the client has %v", err)
			}
			wiretest.Eventually(t, "counted as "+tt.reason, func() bool { return s.Stats().Failures[tt.reason] == before+1 })
			if before == 0 {
				wiretest.Eventually(t, "logged with "+tt.log, func() bool { return strings.Contains(s.log.String(), tt.log) })
			}
		})
	}
	wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
}

// TestProtocols: HTTP/1.1 is chosen where it is offered, and nothing where nothing is.
func TestProtocols(t *testing.T) {
	s := start(t, Options{}, echoes)
	for _, tt := range []struct {
		offer []string
		want  string
	}{{nil, ""}, {[]string{"h2", "http/1.1"}, "http/1.1"}, {[]string{"http/1.1"}, "http/1.1"}} {
		c := clientConfig(tls.VersionTLS13)
		c.NextProtos = tt.offer
		client := s.dial(t, c, nil)
		if got := client.ConnectionState().NegotiatedProtocol; got != tt.want {
			t.Errorf("%v: %q", tt.offer, got)
		}
		exchange(t, client, "x")
	}
}

// TestACME: the handshake of TLS-ALPN-01 is made, and then the connection closed.
func TestACME(t *testing.T) {
	o := Options{Config: serverConfig()}
	o.Config.NextProtos = []string{"h2", "http/1.1", "acme-tls/1"}
	s := start(t, o, echoes)
	c := clientConfig(tls.VersionTLS13)
	c.NextProtos = []string{"acme-tls/1"}
	client := s.dial(t, c, nil)
	if got := client.ConnectionState().NegotiatedProtocol; got != "acme-tls/1" {
		t.Errorf("protocol %q", got)
	}
	if b, err := io.ReadAll(client); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestClientCertificates: crypto/tls verifies them, and its verdict stands. The ticket then follows the client's last
// message.
func TestClientCertificates(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		o := Options{Config: serverConfig()}
		o.Config.ClientAuth, o.Config.ClientCAs = tls.RequireAndVerifyClientCert, testPool
		s := start(t, o, echoes)
		c := clientConfig(version)
		c.Certificates = []tls.Certificate{testCert}
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for range 2 {
			exchange(t, s.dial(t, c, nil), "with a certificate")
		}
		client := tls.Client(s.dialPlain(t), clientConfig(version))
		if err := client.Handshake(); err == nil {
			if _, err = client.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
				t.Errorf("without a certificate: %v", err)
			}
		}
	})
}

// TestOtherConfig: what GetConfigForClient of the configuration returns is used, and hardened as well.
func TestOtherConfig(t *testing.T) {
	base := serverConfig()
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := serverConfig()
		c.NextProtos = []string{"h2"}
		return c, nil
	}
	s := start(t, Options{Config: base}, echoes)
	c := clientConfig(tls.VersionTLS13)
	c.NextProtos = []string{"h2", "http/1.1"}
	client := s.dial(t, c, nil)
	exchange(t, client, "x")
	if got := client.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("protocol %q", got)
	}
}

// TestManyHandshakes: far more clients than workers all get through.
func TestManyHandshakes(t *testing.T) {
	s := start(t, Options{Handshakes: 4, patience: time.Minute}, echoes)
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			client := tls.Client(s.dialPlain(t), clientConfig(0))
			if _, err := io.WriteString(client, "x"); err != nil {
				t.Error(err)
				return
			}
			if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			client.Close()
		})
	}
	group.Wait()
	wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
}

// TestDrain closes connections whose handshake has not begun, and others after it.
func TestDrain(t *testing.T) {
	s := start(t, Options{}, echoes)
	waits, established := s.dialPlain(t), s.dial(t, clientConfig(0), nil)
	if _, err := waits.Write([]byte{22}); err != nil {
		t.Fatal(err)
	}
	exchange(t, established, "x")
	wiretest.Eventually(t, "both are there", func() bool { return s.poller.Stats().Clients == 2 })
	s.Drain(s.poller)
	if _, err := io.ReadAll(waits); err != nil && !isReset(err) {
		t.Error(err)
	}
	exchange(t, established, "stays")
	late := tls.Client(s.dialPlain(t), clientConfig(0))
	if err := late.Handshake(); err == nil {
		_, err = late.Read(make([]byte, 1))
		if err == nil {
			t.Error("a handshake is made while the server drains")
		}
	}
}

// TestBehindHead: bytes that were read before, as behind a PROXY header, begin the handshake.
func TestBehindHead(t *testing.T) {
	s := start(t, Options{}, echoes)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var behind sync.Mutex // the listener's handlers run on several loops
	if err := s.poller.Listen(ln, func(l *park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			in := c.Loop().In()
			n, err := c.Read(in)
			if err == park.ErrAgain {
				return
			}
			if err != nil {
				c.Close()
				return
			}
			behind.Lock()
			defer behind.Unlock()
			s.Begin(c, in[1:n], echoes(l))
		})
	}); err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	eachVersion(t, func(t *testing.T, version uint16) {
		var wire *together
		client := tls.Client(func() net.Conn { wire = &together{Conn: s.dialPlain(t), b: []byte{'!'}}; return wire }(), clientConfig(version))
		exchange(t, client, "after one byte")
		client = tls.Client(&together{Conn: oneByte{s.dialPlain(t)}, b: []byte{'!', 22}[:1]}, clientConfig(version))
		exchange(t, client, "byte by byte")
	})
}

type handlerFunc func(c *park.Conn, ev park.Event)

func (f handlerFunc) Ready(c *park.Conn, ev park.Event) { f(c, ev) }

// TestEndDuringHandshake: a client may send its request with its last message, and end its side, before the handshake is
// over. The kernel tells that once only, and so the handler has to be told afterwards.
func TestEndDuringHandshake(t *testing.T) {
	eventc := make(chan park.Event, 10)
	s := start(t, Options{}, func(*park.Loop) park.Handler {
		return &handler{func(c *park.Conn, ev park.Event) {
			if ev&park.Readable != 0 {
				n, err := c.Read(c.Loop().In())
				if string(c.Loop().In()[:n]) != "request" || err != nil {
					t.Errorf("read %q, %v", c.Loop().In()[:n], err)
				}
			}
			eventc <- ev
		}}
	})
	raw := s.dialPlain(t)
	rest := &together{Conn: raw, hold: true}
	client := tls.Client(&stopper{Conn: raw, rest: rest}, clientConfig(tls.VersionTLS13))
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "request"); err != nil {
		t.Fatal(err)
	}
	for range cap(s.cpu) { // no handshake goes on
		s.cpu <- struct{}{}
	}
	rest.hold = false
	if _, err := rest.Write(nil); err != nil {
		t.Fatal(err)
	}
	if err := raw.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wiretest.Eventually(t, "the end is seen", func() bool {
		var gone atomic.Bool
		s.poller.VisitAll(nil, func(c *park.Conn) {
			if stream, ok := c.Handler().(*park.Stream); ok && stream.Gone() {
				gone.Store(true)
			}
		})()
		return gone.Load()
	})
	for range cap(s.cpu) {
		<-s.cpu
	}
	if first, second := <-eventc, <-eventc; first != park.Writable || second != park.Readable|park.HangUp {
		t.Errorf("the events are %b and %b", first, second)
	}
}

// TestStalledHandshakes: clients that stop in the middle of their handshakes do not keep others from theirs for the whole
// limit. They are disconnected once others wait, and only then.
func TestStalledHandshakes(t *testing.T) {
	s := start(t, Options{Time: 10 * time.Minute, Handshakes: 2, patience: 500 * time.Millisecond}, echoes)
	var stalled []net.Conn
	for range 4 {
		nc := s.dialPlain(t)
		if err := tls.Client(&stopper{Conn: nc}, clientConfig(tls.VersionTLS13)).Handshake(); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		stalled = append(stalled, nc)
		if len(stalled) == 2 {
			exchange(t, s.dial(t, clientConfig(0), nil), "after two that have stopped")
		}
	}
	exchange(t, s.dial(t, clientConfig(0), nil), "after two more")
	if n := s.Stats().Failures["busy"]; n < 2 || n > 4 {
		t.Errorf("%d are counted as busy", n)
	}
	wiretest.Eventually(t, "logged", func() bool { return strings.Contains(s.log.String(), "reason=busy") })
}

// TestLongHello: a first message of several records is taken, but not without end.
func TestLongHello(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{}, echoes)
		for _, size := range []int{20 << 10, 40 << 10} {
			c := clientConfig(version)
			for range size / 200 {
				c.NextProtos = append(c.NextProtos, strings.Repeat("p", 200))
			}
			c.NextProtos = append(c.NextProtos, "http/1.1")
			client := tls.Client(s.dialPlain(t), c)
			if err := client.Handshake(); (err == nil) != (size < maxReceived) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		wiretest.Eventually(t, "counted and logged", func() bool {
			return s.Stats().Failures["handshake"] == 1 && strings.Contains(s.log.String(), errTooLong.Error())
		})
	})
}
