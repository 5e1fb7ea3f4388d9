package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// upstream accepts connections, as crypto/tls does, and returns what it reads.
func upstream(t *testing.T, version uint16) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() { ln.Close(); group.Wait() })
	group.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				c := serverConfig()
				c.MinVersion, c.MaxVersion = version, version
				server := tls.Server(nc, c)
				_, _ = io.Copy(server, server)
				server.Close()
			})
		}
	})
	return ln
}

// startClient runs a poller with a client.
func startClient(t *testing.T, limit time.Duration) (*Client, *park.Poller, *wiretest.Log) {
	t.Helper()
	log := new(wiretest.Log)
	logger := slog.New(slog.NewTextHandler(log, nil))
	p, err := park.New(park.Options{Loops: 1, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	x := NewClient(p, limit, logger)
	var group sync.WaitGroup
	group.Go(func() { _ = p.Serve() })
	t.Cleanup(func() {
		p.Shutdown()
		group.Wait()
		if n := p.Stats().Panics; n > 0 {
			t.Errorf("%d panics:\n%s", n, log)
		}
	})
	return x, p, log
}

// dialTo dials and returns what h gets at its first event.
func dialTo(t *testing.T, x *Client, p *park.Poller, address string, c *tls.Config, made func(*park.Conn)) error {
	t.Helper()
	errc := make(chan error, 1)
	p.Loops()[0].Post(func() {
		first := true
		_, err := x.Upstream(c).Dial(p.Loops()[0], "tcp", address, handlerFunc(func(c *park.Conn, ev park.Event) {
			if !first {
				return
			}
			first = false
			err := c.DialError()
			if err != nil {
				c.Close()
			} else {
				made(c)
			}
			errc <- err
		}))
		if err != nil {
			errc <- err
		}
	})
	select {
	case err := <-errc:
		return err
	case <-time.After(time.Minute):
		t.Fatal("no event after a minute")
		return nil
	}
}

// TestClient: bytes go both ways, tickets are taken, and the connection can wait and is found to be usable.
func TestClient(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		ln := upstream(t, version)
		x, p, _ := startClient(t, 10*time.Second)
		got := make(chan string, 1)
		text := strings.Repeat("there and back ", 10000)
		if err := dialTo(t, x, p, ln.Addr().String(), clientConfig(version), func(c *park.Conn) {
			var b strings.Builder
			rest := []byte(text)
			told := false // an event may come once more
			h := handlerFunc(func(c *park.Conn, ev park.Event) {
				n, err := c.Write(rest)
				if rest = rest[n:]; err != nil && err != park.ErrAgain {
					t.Error(err)
				}
				for {
					n, err := c.Read(c.Loop().In())
					b.Write(c.Loop().In()[:n])
					if err != nil {
						break
					}
				}
				if b.Len() == len(text) && !told {
					told = true
					if c.Stale() {
						t.Error("a usable connection is stale")
					}
					got <- b.String()
				}
			})
			c.Hold(h)
			h.Ready(c, park.Writable)
		}); err != nil {
			t.Fatal(err)
		}
		if back := <-got; back != text {
			t.Errorf("%d bytes come back", len(back))
		}
	})
}

// TestClientRefuses: an upstream that has not the right certificate, speaks something else or nothing is not used.
func TestClientRefuses(t *testing.T) {
	ln := upstream(t, 0)
	plain := wiretest.NewUpstream(t, func(c *wiretest.Recorded) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, _ := net.Listen("tcp", "127.0.0.1:0")
	gone.Close()
	other, noRoot := clientConfig(0), clientConfig(0)
	other.ServerName = "other.test"
	noRoot.RootCAs = x509.NewCertPool()
	x, p, log := startClient(t, 300*time.Millisecond)
	for _, tt := range []struct {
		name, address, want string
		config              *tls.Config
	}{
		{"another name", ln.Addr().String(), "not other.test", other},
		{"unknown authority", ln.Addr().String(), "unknown authority", noRoot},
		{"plain HTTP", plain.Addr, "does not look like a TLS handshake", clientConfig(0)},
		{"silence", silent.Addr().String(), "i/o timeout", clientConfig(0)},
		{"nobody", gone.Addr().String(), "refused", clientConfig(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := dialTo(t, x, p, tt.address, tt.config, func(c *park.Conn) { c.Close() })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if n := x.Stats().Failures; n["certificate"] != 2 || n["not_tls"] != 1 || n["timeout"] != 1 || !strings.Contains(log.String(), "reason=certificate") {
		t.Errorf("counted %v\n%s", n, log)
	}
}

// TestClientClosedMeanwhile: a connection can be closed while a worker makes its handshake.
func TestClientClosedMeanwhile(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	x, p, _ := startClient(t, 10*time.Second)
	l := p.Loops()[0]
	connc := make(chan *park.Conn, 1)
	l.Post(func() {
		c, err := x.Upstream(clientConfig(0)).Dial(l, "tcp", silent.Addr().String(), handlerFunc(func(*park.Conn, park.Event) {
			t.Error("a closed connection has an event")
		}))
		if err != nil {
			t.Error(err)
		}
		connc <- c
	})
	c := <-connc
	nc, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.ReadFull(nc, make([]byte, 5)); err != nil { // the handshake has begun
		t.Fatal(err)
	}
	l.Post(c.Close)
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, net.ErrClosed) && !isReset(err) {
		t.Error(err)
	}
}

// TestHungUpstream: one that accepts connections and makes no handshake takes no worker from the others.
func TestHungUpstream(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ln := upstream(t, 0)
	x, p, _ := startClient(t, 10*time.Minute)
	l := p.Loops()[0]
	dialled := make(chan struct{})
	l.Post(func() {
		defer close(dialled)
		hung := x.Upstream(clientConfig(0))
		for range 600 {
			if _, err := hung.Dial(l, "tcp", silent.Addr().String(), handlerFunc(func(*park.Conn, park.Event) {})); err != nil {
				t.Error(err)
			}
		}
	})
	<-dialled
	if err := dialTo(t, x, p, ln.Addr().String(), clientConfig(0), func(c *park.Conn) { c.Close() }); err != nil {
		t.Error(err)
	}
}
