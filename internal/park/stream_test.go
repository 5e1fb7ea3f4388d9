package park_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// streamed connects a peer to a poller that hands the connection to serve, on a worker, at the first
// bytes: head of them are taken off first. The returned function waits until serve has returned.
func streamed(t *testing.T, p *park.Poller, first string, head int, serve func(s *park.Stream)) (peer *wiretest.Client, wait func()) {
	t.Helper()
	donec := make(chan struct{})
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			b := make([]byte, head)
			n, err := c.Read(b)
			if errors.Is(err, park.ErrAgain) && ev&park.Readable == 0 {
				return // the connection has only just come
			}
			s := park.NewStream(c, b[:n])
			if !p.Go(func() { defer close(donec); serve(s) }) {
				t.Error("no worker")
			}
		})
	})
	peer = wiretest.Dial(t, addr)
	peer.Send(first)
	return peer, func() {
		t.Helper()
		select {
		case <-donec:
		case <-time.After(wiretest.Timeout):
			t.Fatal("the worker does not return")
		}
	}
}

// drop ends a connection that a worker gives back.
func drop(c *park.Conn, _ []byte) { c.Close() }

func TestStreamReadsHeadThenSocket(t *testing.T) {
	var all []byte
	var err error
	peer, wait := streamed(t, start(t, park.Options{}), "0123456789", 4, func(s *park.Stream) {
		defer s.Release(drop)
		b := make([]byte, 3)
		for len(all) < 16 && err == nil {
			var n int
			n, err = s.Read(b)
			all = append(all, b[:n]...)
		}
	})
	peer.Send("abcdef")
	wait()
	if string(all) != "0123456789abcdef" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
}

// TestStreamReadBlocks: a Read that finds nothing goes on when bytes come.
func TestStreamReadBlocks(t *testing.T) {
	readingc, got := make(chan struct{}), ""
	peer, wait := streamed(t, start(t, park.Options{}), "x", 1, func(s *park.Stream) {
		defer s.Release(drop)
		b := make([]byte, 10)
		s.Read(b)
		// A deadline that passes proves that nothing waits to be read.
		s.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nothing to read: %v", err)
		}
		s.SetReadDeadline(time.Time{})
		close(readingc)
		n, err := s.Read(b)
		if got = string(b[:n]); err != nil {
			t.Errorf("read: %v", err)
		}
	})
	<-readingc
	peer.Send("later")
	wait()
	if got != "later" {
		t.Errorf("read %q", got)
	}
}

func TestStreamDeadlines(t *testing.T) {
	peer, wait := streamed(t, start(t, park.Options{}), "x", 1, func(s *park.Stream) {
		defer s.Release(drop)
		b := make([]byte, 64<<10)
		s.Read(b)
		set := map[string]func(time.Time) error{"read": s.SetReadDeadline, "both": s.SetDeadline}
		for name, f := range set {
			f(time.Now().Add(2 * time.Millisecond))
			n, err := s.Read(b)
			var timeout net.Error
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: Read: %d, %v", name, n, err)
			}
			f(time.Now().Add(-time.Second))
			if _, err := s.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Read after the deadline: %v", name, err)
			}
		}
		// The peer does not read, so a Write that is large enough fills the socket.
		for name, f := range map[string]func(time.Time) error{"write": s.SetWriteDeadline, "both": s.SetDeadline} {
			f(time.Now().Add(50 * time.Millisecond))
			n, err := s.Write(make([]byte, 16<<20))
			if n >= 16<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Write: %d, %v", name, n, err)
			}
		}
	})
	wait()
	peer.Close()
}

// TestStreamWriteBlocksOnFullSocket: a Write goes on when the peer reads, and loses nothing.
func TestStreamWriteBlocksOnFullSocket(t *testing.T) {
	const size = 12 << 20 // more than the kernel's buffers grow to
	fullc := make(chan struct{})
	peer, wait := streamed(t, start(t, park.Options{}), "x", 1, func(s *park.Stream) {
		defer s.Release(drop)
		p := fill(make([]byte, size), 5, toPeer, 0)
		s.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := s.Write(p)
		if n == size || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("first write: %d, %v; the socket is not full", n, err)
		}
		s.SetWriteDeadline(time.Time{})
		close(fullc)
		if m, err := s.Write(p[n:]); m != size-n || err != nil {
			t.Errorf("the rest: %d of %d, %v", m, size-n, err)
		}
	})
	<-fullc
	b, err := io.ReadAll(peer)
	if i := wrong(b, 5, toPeer, 0); err != nil || len(b) != size || i >= 0 {
		t.Errorf("read %d of %d, first wrong byte at %d, %v", len(b), size, i, err)
	}
	wait()
}

// TestStreamIdle: after Idle, what has come is still read, then io.EOF stands for "no more of this
// request" while the connection lives on.
func TestStreamIdle(t *testing.T) {
	backc := make(chan string, 1)
	peer, wait := streamed(t, start(t, park.Options{}), "request", 7, func(s *park.Stream) {
		b := make([]byte, 3)
		n, err := s.Read(b)
		if string(b[:n]) != "req" || err != nil {
			t.Errorf("read %q, %v", b[:n], err)
		}
		s.Idle()
		all, err := io.ReadAll(s)
		if string(all) != "uest" || err != nil {
			t.Errorf("after Idle: %q, %v", all, err)
		}
		if n, err := s.Read(b); n != 0 || err != io.EOF {
			t.Errorf("and again: %d, %v", n, err)
		}
		if s.Gone() {
			t.Error("the peer has not hung up")
		}
		s.Release(func(c *park.Conn, rest []byte) {
			c.Hold(handlerFunc(func(c *park.Conn, ev park.Event) {
				b := make([]byte, 100)
				if n, err := c.Read(b); err == nil {
					backc <- string(rest) + "|" + string(b[:n])
					c.Close()
				}
			}))
			c.Write([]byte("parked"))
		})
	})
	wait()
	peer.Expect("parked")
	peer.Send("next")
	if got := <-backc; got != "|next" {
		t.Errorf("back on the loop: %q", got)
	}
}

// TestStreamReleaseGivesUnreadHead: what the worker left of the head comes back with the connection,
// on the loop that had it, under its old reference.
func TestStreamReleaseGivesUnreadHead(t *testing.T) {
	p := start(t, park.Options{Loops: 3})
	restc := make(chan []byte, 1)
	_, wait := streamed(t, p, "one\ntwo\n", 8, func(s *park.Stream) {
		b := make([]byte, 4)
		s.Read(b)
		if _, err := s.Write([]byte("answer")); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := s.Close(); err != nil || !s.Closed() {
			t.Errorf("Close: %v; Closed: %v", err, s.Closed())
		}
		if _, err := s.Write(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
		s.Release(func(c *park.Conn, rest []byte) {
			restc <- bytes.Clone(rest)
			c.Close()
		})
	})
	wait()
	if rest := <-restc; string(rest) != "two\n" {
		t.Errorf("rest is %q", rest)
	}
	wiretest.Eventually(t, "Close on the loop closed it", func() bool { return p.Stats().Clients == 0 })
}

// TestStreamPeerEndsMidRead: a blocked Read ends with the peer's FIN or RST.
func TestStreamPeerEndsMidRead(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*net.TCPConn)
		eof  bool
	}{
		{"FIN", func(c *net.TCPConn) { c.Close() }, true},
		{"half close", func(c *net.TCPConn) { c.CloseWrite() }, true},
		{"RST", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			var err error
			gone := false
			p := start(t, park.Options{})
			peer, wait := streamed(t, p, "x", 1, func(s *park.Stream) {
				s.Write([]byte("reading"))
				got, err = io.ReadAll(s)
				gone = s.Gone()
				s.Release(drop)
			})
			peer.Expect("reading")
			c.end(peer.Conn.(*net.TCPConn))
			wait()
			if string(got) != "x" || (err == nil) != c.eof {
				t.Errorf("read %q, %v", got, err)
			}
			if !gone {
				t.Error("Gone does not know")
			}
			wiretest.Eventually(t, "it is closed", func() bool { return p.Stats().Clients == 0 })
		})
	}
}

// TestStreamPeerResetsMidWrite: a Write that waits for room ends when the peer resets.
func TestStreamPeerResetsMidWrite(t *testing.T) {
	var err error
	peer, wait := streamed(t, start(t, park.Options{}), "x", 1, func(s *park.Stream) {
		defer s.Release(drop)
		_, err = s.Write(make([]byte, 16<<20))
	})
	b := make([]byte, 10)
	io.ReadFull(peer, b)
	peer.Conn.(*net.TCPConn).SetLinger(0)
	peer.Close()
	wait()
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
}

// TestStreamAddresses: a worker sees the peer's address, and a unix socket's as one.
func TestStreamAddresses(t *testing.T) {
	var remote, local net.Addr
	peer, wait := streamed(t, start(t, park.Options{}), "x", 1, func(s *park.Stream) {
		remote, local = s.RemoteAddr(), s.LocalAddr()
		s.Release(drop)
	})
	wait()
	if remote.String() != peer.LocalAddr().String() || remote.Network() != "tcp" || local == nil {
		t.Errorf("remote %v, local %v; the peer is %v", remote, local, peer.LocalAddr())
	}
}

// TestShutdownWithStreams: Shutdown in the middle of everything a worker can do with a stream. The
// worker is woken, its connection is closed once, and Serve returns.
func TestShutdownWithStreams(t *testing.T) {
	for round := range 60 {
		p, err := park.New(park.Options{Loops: 2, Workers: 8})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { defer close(served); p.Serve() }()
		var again func(c *park.Conn, _ []byte)
		again = func(c *park.Conn, rest []byte) {
			s := park.NewStream(c, rest)
			work := func() {
				s.SetReadDeadline(time.Now().Add(time.Duration(round) * 20 * time.Microsecond))
				s.Read(make([]byte, 10))
				s.Release(again)
			}
			if !p.Go(work) {
				s.Release(drop)
			}
		}
		addr := listen(t, p, func(*park.Loop) park.Handler {
			return handlerFunc(func(c *park.Conn, ev park.Event) {
				c.SetDeadline(time.Second)
				again(c, nil)
			})
		})
		for range 8 {
			wiretest.Dial(t, addr).Send("x")
		}
		wiretest.Eventually(t, "all are there", func() bool { return p.Stats().Accepted == 8 })
		p.Shutdown()
		select {
		case <-served:
		case <-time.After(wiretest.Timeout):
			t.Fatalf("round %d: Serve does not return", round)
		}
		if n := p.Stats().Clients; n != 0 {
			t.Fatalf("round %d: %d connections were left open", round, n)
		}
	}
}
