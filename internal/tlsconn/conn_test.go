package tlsconn

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"unsafe"

	"holdfast/internal/park"
	"holdfast/internal/tlsrecord"
	"holdfast/internal/wiretest"
)

// TestEcho: bytes go both ways, on several connections of both versions, which also resume their sessions.
func TestEcho(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{}, echoes)
		c := clientConfig(version)
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 5 {
			client := s.dial(t, c, nil)
			for _, n := range []int{1, 100, 16 << 10, 16<<10 + 1, 50000} {
				exchange(t, client, strings.Repeat("x", n))
			}
			if resumed := client.ConnectionState().DidResume; resumed != (i > 0) {
				t.Errorf("connection %d: resumed %v", i, resumed)
			}
			client.Close()
		}
		stats := s.Stats()
		if name := map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[version]; stats.Made[name] != 5 || stats.Resumed != 4 {
			t.Errorf("counts are %+v", stats)
		}
		wiretest.Eventually(t, "all closed", func() bool { return s.poller.Stats().Clients == 0 })
	})
}

// oneByte writes each byte by itself.
type oneByte struct{ net.Conn }

func (c oneByte) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// together holds records back and writes them at once.
type together struct {
	net.Conn
	hold bool
	b    []byte
}

func (c *together) Write(p []byte) (int, error) {
	c.b = append(c.b, p...)
	if c.hold {
		return len(p), nil
	}
	b := c.b
	c.b = nil
	if _, err := c.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestSegments: records arrive byte by byte, handshake included, and many at once.
func TestSegments(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{}, echoes)
		client := s.dial(t, clientConfig(version), func(nc net.Conn) net.Conn { return oneByte{nc} })
		for _, n := range []int{1, 300} {
			exchange(t, client, strings.Repeat("y", n))
		}

		var wire *together
		client = s.dial(t, clientConfig(version), func(nc net.Conn) net.Conn { wire = &together{Conn: nc}; return wire })
		var want strings.Builder
		wire.hold = true
		for i := range 500 {
			text := strings.Repeat("z", i)
			want.WriteString(text)
			if _, err := io.WriteString(client, text); err != nil {
				t.Fatal(err)
			}
		}
		wire.hold = false
		want.WriteByte('!')
		if _, err := client.Write([]byte("!")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(client, got); err != nil || string(got) != want.String() {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

// TestHalfClose: a client that ends its side still gets the answer, and then close_notify. It is the same when its last
// record and its end come at once, and without the end of its TCP stream.
func TestHalfClose(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{}, echoes)
		var wire *together
		client := s.dial(t, clientConfig(version), func(nc net.Conn) net.Conn { wire = &together{Conn: nc}; return wire })
		exchange(t, client, "first")
		wire.hold = true
		if _, err := io.WriteString(client, "last"); err != nil {
			t.Fatal(err)
		}
		wire.hold = false
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(client); string(b) != "lastend" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
	})
}

// TestTruncation: the end of the TCP stream alone is not the end of what the client sends.
func TestTruncation(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		errc := make(chan error, 1)
		s := start(t, Options{}, func(*park.Loop) park.Handler { return &errorReader{errc: errc} })
		client := s.dial(t, clientConfig(version), nil)
		if _, err := io.WriteString(client, "x"); err != nil {
			t.Fatal(err)
		}
		if err := client.NetConn().(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := <-errc; err != errTruncated {
			t.Errorf("the end is %v", err)
		}
	})
}

// errorReader reads up to an error.
type errorReader struct {
	errc chan error
	data []byte
}

func (x *errorReader) Ready(c *park.Conn, ev park.Event) {
	for {
		n, err := c.Read(c.Loop().In())
		x.data = append(x.data, c.Loop().In()[:n]...)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			c.Close()
			x.errc <- err
			return
		}
	}
}

// sender writes much at once, and closes.
type sender struct{ rest []byte }

func (x *sender) Ready(c *park.Conn, ev park.Event) {
	n, err := c.Write(x.rest)
	x.rest = x.rest[n:]
	switch {
	case err == nil:
		c.Close()
	case err != park.ErrAgain:
		c.Abort()
	}
}

// TestSlowReader: what the kernel refuses is sent later, and all of it although the handler closes at once.
func TestSlowReader(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than the kernel takes
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, size := range []int{1, 20000, 3 << 20, len(text)} {
			s := start(t, Options{}, func(*park.Loop) park.Handler { return &sender{rest: text[:size]} })
			client := s.dial(t, clientConfig(version), nil)
			if size > 1<<20 {
				wiretest.Eventually(t, "much is sent", func() bool { return s.Stats().Made["1.2"]+s.Stats().Made["1.3"] == 1 })
			}
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, text[:size]) {
				t.Errorf("%d of %d bytes arrive: %v", len(got), size, err)
			}
			wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
		}
	})
}

// closer writes until the kernel refuses, and closes: the part of a record that it has kept must be sent.
type closer struct {
	sentc chan int
}

func (x *closer) Ready(c *park.Conn, ev park.Event) {
	text := bytes.Repeat([]byte{'c'}, 1<<20)
	sent := 0
	for {
		n, err := c.Write(text)
		sent += n
		if err != nil {
			break
		}
	}
	old := c.Ref()
	c.Close()
	if _, open := old.Conn(); open {
		panic("a closed connection is still its owner's")
	}
	x.sentc <- sent
}

// TestCloseSendsTheRest: after Close, the poller sends the rest of a record that the kernel had refused in part.
func TestCloseSendsTheRest(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		sentc := make(chan int, 1)
		s := start(t, Options{}, func(*park.Loop) park.Handler { return &closer{sentc: sentc} })
		client := s.dial(t, clientConfig(version), nil)
		want := <-sentc
		got, err := io.ReadAll(client)
		if err != nil || len(got) != want {
			t.Errorf("%d of %d bytes arrive: %v", len(got), want, err)
		}
		wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
	})
}

// flip changes a bit of the n-th byte that is written after it is armed.
type flip struct {
	net.Conn
	n     int
	armed bool
}

func (c *flip) Write(p []byte) (int, error) {
	if c.armed && c.n < len(p) {
		c.armed = false
		p = bytes.Clone(p)
		p[c.n] ^= 1
	}
	return c.Conn.Write(p)
}

// TestBitFlips: a changed record ends the connection with an alert, and its data does not arrive.
func TestBitFlips(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s := start(t, Options{}, echoes)
		for _, n := range []int{5, 12, 20, 25, 30} {
			var wire *flip
			client := s.dial(t, clientConfig(version), func(nc net.Conn) net.Conn { wire = &flip{Conn: nc, n: n}; return wire })
			exchange(t, client, "whole")
			wire.armed = true
			if _, err := io.WriteString(client, "changed on the way"); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(client); len(b) > 0 || err == nil || !strings.Contains(err.Error(), "bad record MAC") {
				t.Errorf("byte %d: %q, error %v", n, b, err)
			}
		}
		wiretest.Eventually(t, "closed", func() bool { return s.poller.Stats().Clients == 0 })
		if n := s.Stats().Failures; n["bad_record_mac"]+n["tls12"] != 5 {
			t.Errorf("counted %v", n)
		}
	})
}

// TestPlainAfterHandshake: bytes that are not encrypted are refused.
func TestPlainAfterHandshake(t *testing.T) {
	s := start(t, Options{}, echoes)
	client := s.dial(t, clientConfig(tls.VersionTLS13), nil)
	exchange(t, client, "encrypted")
	if _, err := client.NetConn().Write([]byte("\x15\x03\x03\x00\x02\x01\x00")); err != nil { // close_notify of nobody
		t.Fatal(err)
	}
	if b, err := io.ReadAll(client); len(b) > 0 || err == nil || !strings.Contains(err.Error(), "unexpected message") {
		t.Errorf("%q, error %v", b, err)
	}
}

// worker serves its connection on a worker, one byte for each.
type worker struct{ parked chan struct{} }

func (x *worker) Ready(c *park.Conn, ev park.Event) {
	in := c.Loop().In()
	n, err := c.Read(in)
	if err == park.ErrAgain {
		return
	}
	if err != nil {
		c.Close()
		return
	}
	stream := park.NewStream(c, bytes.Clone(in[:n]))
	c.Loop().Poller().Go(func() {
		var b [2]byte
		_, err := io.ReadFull(stream, b[:])
		if err == nil {
			_, err = stream.Write(bytes.Repeat(b[:], 3<<20)) // more than the kernel takes
		}
		stream.Release(func(c *park.Conn, _ []byte) {
			if err != nil {
				c.Abort()
				return
			}
			c.Hold(x)
			x.parked <- struct{}{}
		})
	})
}

// TestStream: a worker reads and writes like a loop, and gives the connection back.
func TestStream(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		x := &worker{parked: make(chan struct{}, 1)}
		s := start(t, Options{}, func(*park.Loop) park.Handler { return x })
		client := s.dial(t, clientConfig(version), nil)
		for range 3 {
			for _, b := range []string{"a", "b"} {
				if _, err := io.WriteString(client, b); err != nil {
					t.Fatal(err)
				}
			}
			got := make([]byte, 6<<20)
			if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, bytes.Repeat([]byte("ab"), 3<<20)) {
				t.Fatal(err)
			}
			<-x.parked
		}
	})
}

// TestWaitingIsSmall: a connection that waits is one struct of 176 bytes.
func TestWaitingIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 176 {
		t.Errorf("a connection has %d bytes; want at most 176", n)
	}
	s := start(t, Options{}, echoes)
	client := s.dial(t, clientConfig(tls.VersionTLS13), nil)
	exchange(t, client, "x")
	wiretest.Eventually(t, "ciphers and buffers are released", func() bool {
		small := false
		s.poller.VisitAll(nil, func(c *park.Conn) {
			if x, ok := c.Layer().(*conn); ok && x.buf == nil && !x.Working() {
				small = true
			}
		})()
		return small
	})
	exchange(t, client, "y")
	if n := tlsrecord.MaxSealed; n > 17<<10 {
		t.Errorf("a sealed record takes %d bytes", n)
	}
}
