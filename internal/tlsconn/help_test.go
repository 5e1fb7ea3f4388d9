package tlsconn

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/sendbuf"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

var testCert, testPool = wiretest.Certificate()

// serverConfig is that of tests.
func serverConfig() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{testCert}} }

// clientConfig is that of a client of the given version.
func clientConfig(version uint16) *tls.Config {
	return &tls.Config{RootCAs: testPool, ServerName: "app.test", MinVersion: version, MaxVersion: version}
}

// testServer accepts TLS connections.
type testServer struct {
	*Server
	poller *park.Poller
	addr   string
	log    *wiretest.Log
}

// start runs a server whose connections get the handlers that accept returns.
func start(t testing.TB, o Options, accept func(*park.Loop) park.Handler) *testServer {
	t.Helper()
	s := &testServer{log: new(wiretest.Log)}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	if s.poller, err = park.New(park.Options{Loops: 2, Log: log}); err != nil {
		t.Fatal(err)
	}
	if o.Config == nil {
		o.Config = serverConfig()
	}
	o.Log = log
	s.Server = NewServer(s.poller, o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	if err := s.poller.Listen(ln, s.Accept(accept)); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = s.poller.Serve() })
	t.Cleanup(func() {
		s.poller.Shutdown()
		group.Wait()
		if n := s.poller.Stats().Panics; n > 0 {
			t.Errorf("%d panics:\n%s", n, s.log)
		}
		if open := s.Stats().Open; open["1.2"]+open["1.3"] != 0 {
			t.Errorf("connections stay counted: %v", open)
		}
	})
	return s
}

// dial connects a client of crypto/tls. wrap, if not nil, is between it and the socket.
func (s *testServer) dial(t testing.TB, c *tls.Config, wrap func(net.Conn) net.Conn) *tls.Conn {
	t.Helper()
	nc := s.dialPlain(t)
	if wrap != nil {
		nc = wrap(nc)
	}
	client := tls.Client(nc, c)
	if err := client.Handshake(); err != nil {
		t.Fatalf("handshake: %v\n%s", err, s.log)
	}
	return client
}

func (s *testServer) dialPlain(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { nc.Close() })
	return nc
}

// echo is a handler that returns what it reads. At the end it answers "end" and closes.
type echo struct {
	out   *sendbuf.Buffer
	ended bool
}

func echoes(*park.Loop) park.Handler { return new(echo) }

func (x *echo) Ready(c *park.Conn, ev park.Event) {
	in := c.Loop().In()
	for {
		switch err := sendbuf.Flush(c, &x.out); {
		case err == park.ErrAgain:
			return
		case err != nil:
			c.Abort()
			return
		}
		if x.ended {
			c.Close()
			return
		}
		n, err := c.Read(in)
		data := in[:n]
		switch {
		case err == park.ErrAgain:
			return
		case err == io.EOF:
			x.ended = true
			data = []byte("end")
		case err != nil:
			c.Close()
			return
		}
		if sendbuf.Send(c, &x.out, data, nil) != nil {
			c.Abort()
			return
		}
	}
}

// eachVersion runs f for TLS 1.2 and 1.3.
func eachVersion(t *testing.T, f func(t *testing.T, version uint16)) {
	t.Run("1.3", func(t *testing.T) { f(t, tls.VersionTLS13) })
	t.Run("1.2", func(t *testing.T) { f(t, tls.VersionTLS12) })
}

// exchange sends text and expects it back.
func exchange(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("%d of %d bytes come back: %v", n, len(b), err)
	}
}
