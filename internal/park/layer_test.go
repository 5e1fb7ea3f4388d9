package park_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// shifted is a layer that adds one to each byte, and ends what is sent with "!". It keeps what the socket refuses, of
// whatever size.
type shifted struct {
	kept   []byte
	lent   []bool
	onRead func(park.Socket)
	closed int
	reset  bool
}

func shift(p []byte, by byte) []byte {
	p = bytes.Clone(p)
	for i := range p {
		p[i] += by
	}
	return p
}

func (x *shifted) Read(s park.Socket, p []byte) (int, error) {
	if x.onRead != nil {
		x.onRead(s)
	}
	n, err := s.Read(p)
	copy(p, shift(p[:n], 255))
	return n, err
}

func (x *shifted) Write(s park.Socket, a, b []byte) (int, error) {
	if err := x.Flush(s); err != nil {
		return 0, err
	}
	x.kept = slices.Concat(shift(a, 1), shift(b, 1))
	if err := x.Flush(s); err != nil && err != park.ErrAgain {
		return 0, err
	}
	return len(a) + len(b), nil
}

func (x *shifted) Flush(s park.Socket) error {
	n, err := s.Write(x.kept)
	x.kept = x.kept[n:]
	return err
}

func (x *shifted) Unsent() int { return len(x.kept) }
func (x *shifted) Peek(_ park.Socket, p []byte) (int, error) {
	return 0, io.EOF
}
func (x *shifted) CloseWrite(s park.Socket) error { return s.CloseWrite() }
func (x *shifted) Lend(_ park.Socket, lent bool)  { x.lent = append(x.lent, lent) }
func (x *shifted) DialError() error               { return errShifted }
func (x *shifted) Close(_ park.Socket, r bool) []byte {
	x.closed++
	x.reset = r
	return append(x.kept, '!')
}

var errShifted = errors.New("shifted")

// layered connects a peer to a poller whose connection gets a layer at its first event, and then goes to f.
func layered(t *testing.T, p *park.Poller, x *shifted, f func(c *park.Conn, ev park.Event)) *net.TCPConn {
	t.Helper()
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			if c.Layer() == nil {
				c.SetLayer(x)
			}
			f(c, ev)
		})
	})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(wiretest.Timeout))
	return nc.(*net.TCPConn)
}

// TestLayer: what a handler, and then a worker, reads and writes goes through the layer, and so does every other method.
func TestLayer(t *testing.T) {
	x := &shifted{}
	p := start(t, park.Options{Loops: 1})
	donec := make(chan struct{})
	nc := layered(t, p, x, func(c *park.Conn, ev park.Event) {
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err == park.ErrAgain {
			return
		}
		if string(b[:n]) != "IBM" || err != nil {
			t.Errorf("read %q, %v", b[:n], err)
		}
		if n, err := c.Writev([]byte("ab"), []byte("c")); n != 3 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		if err := c.DialError(); err != errShifted || !c.Stale() || c.Unsent() > 3 {
			t.Errorf("error of the dial %v, stale %v, unsent %d", err, c.Stale(), c.Unsent())
		}
		s := park.NewStream(c, []byte("head"))
		p.Go(func() {
			defer close(donec)
			b := make([]byte, 6)
			if _, err := io.ReadFull(s, b); string(b) != "headxy" || err != nil {
				t.Errorf("a worker reads %q, %v", b, err)
			}
			if _, err := s.Write([]byte("worker")); err != nil {
				t.Error(err)
			}
			s.Release(func(c *park.Conn, _ []byte) { c.Close() })
		})
	})
	nc.Write([]byte("JCN"))
	got := make([]byte, 3)
	if _, err := io.ReadFull(nc, got); string(got) != "bcd" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	nc.Write([]byte("yz"))
	rest, err := io.ReadAll(nc)
	if string(rest) != "xpslfs!" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	<-donec
	do(t, p.Loops()[0], func() {
		if !slices.Equal(x.lent, []bool{true, false}) || x.closed != 1 || x.reset {
			t.Errorf("lent %v, closed %d times, reset %v", x.lent, x.closed, x.reset)
		}
	})
}

// TestLayerSendsTheRest: after Close, the poller sends what the layer still has, and the owner has no connection any
// more; a reset drops it.
func TestLayerSendsTheRest(t *testing.T) {
	text := bytes.Repeat([]byte{'a'}, 16<<20) // more than the kernel takes
	for _, reset := range []bool{false, true} {
		x := &shifted{}
		p := start(t, park.Options{Loops: 1})
		nc := layered(t, p, x, func(c *park.Conn, ev park.Event) {
			if n, err := c.Write(text); n != len(text) || err != nil || c.Unsent() == 0 {
				t.Errorf("wrote %d, %v; %d unsent", n, err, c.Unsent())
			}
			ref := c.Ref()
			if reset {
				c.Abort()
			} else {
				c.Close()
			}
			if _, open := ref.Conn(); open {
				t.Error("the owner still has the connection")
			}
		})
		got, err := io.ReadAll(nc)
		if reset && err == nil || !reset && (err != nil || len(got) != len(text)+1) {
			t.Errorf("reset %v: %d bytes, error %v", reset, len(got), err)
		}
		nc.Close()
		wiretest.Eventually(t, "the slot is free", func() bool { return p.Stats().Clients == 0 })
	}
}

// TestLayerOfAWorkerKnowsThePeer, while the loop takes the connection out of its timing wheel.
func TestLayerOfAWorkerKnowsThePeer(t *testing.T) {
	x := &shifted{}
	addrc, laterc := make(chan netip.AddrPort, 1), make(chan struct{})
	p := start(t, park.Options{Loops: 1})
	var clock *park.Conn
	peer := wiretest.Dial(t, listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			if clock = c; ev&park.Expired != 0 {
				close(laterc)
			}
		})
	}))
	peer.Send("x")
	wiretest.Eventually(t, "the first event", func() (ok bool) {
		do(t, p.Loops()[0], func() { ok = clock != nil })
		return ok
	})
	nc := layered(t, p, x, func(c *park.Conn, ev park.Event) {
		c.SetDeadline(time.Millisecond) // a stream has none, but stays in the wheel until the next tick
		clock.SetDeadline(300 * time.Millisecond)
		s := park.NewStream(c, nil)
		x.onRead = func(s park.Socket) { addrc <- s.RemoteAddr() }
		p.Go(func() {
			_, _ = s.Read(make([]byte, 1))
			<-laterc
			s.Release(func(c *park.Conn, _ []byte) { c.Close() })
		})
	})
	nc.Write([]byte("x"))
	if got := <-addrc; got.String() != nc.LocalAddr().String() {
		t.Errorf("the peer is %s; want %s", got, nc.LocalAddr())
	}
	io.ReadAll(nc)
}

// TestLayerSendsWhileLent: what the layer has kept is sent while a worker only reads, and when it has given the connection
// back without a write. The kernel's event for it is past then.
func TestLayerSendsWhileLent(t *testing.T) {
	text := bytes.Repeat([]byte{'a'}, 16<<20) // more than the kernel takes
	for _, reads := range []bool{true, false} {
		x := &shifted{}
		p := start(t, park.Options{Loops: 1})
		sentc, readc := make(chan int, 1), make(chan struct{})
		nc := layered(t, p, x, func(c *park.Conn, ev park.Event) {
			if _, err := c.Write(text); err != nil {
				t.Error(err)
			}
			sentc <- len(text) - len(x.kept)
			s := park.NewStream(c, nil)
			p.Go(func() {
				if reads {
					_, _ = s.Read(make([]byte, 1))
				} else {
					<-readc
				}
				s.Release(func(c *park.Conn, _ []byte) {
					c.Hold(handlerFunc(func(c *park.Conn, ev park.Event) {}))
				})
			})
		})
		got := make([]byte, len(text))
		sent := <-sentc
		if _, err := io.ReadFull(nc, got[:sent]); err != nil {
			t.Fatal(err)
		}
		if !reads {
			do(t, p.Loops()[0], func() {}) // the event that the kernel takes more
			close(readc)
		}
		if n, err := io.ReadFull(nc, got[sent:]); err != nil {
			t.Errorf("a worker reads: %v: %d of %d bytes, %v", reads, sent+n, len(text), err)
		}
		nc.Write([]byte("x"))
	}
}

// TestCloseWhileLent: a connection that a worker has can be closed by the loop. The worker notices, and no other
// connection gets the descriptor before it has let go.
func TestCloseWhileLent(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	lentc, errc := make(chan park.Ref, 1), make(chan error, 1)
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			s := park.NewStream(c, nil)
			p.Go(func() {
				_, err := s.Read(make([]byte, 1))
				errc <- err
				s.Release(func(*park.Conn, []byte) { t.Error("the connection is given back") })
			})
			lentc <- c.Ref()
		})
	})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	(<-lentc).Post(p.Loops()[0], (*park.Conn).Close)
	if err := <-errc; err == nil {
		t.Error("the worker still reads")
	}
	nc.SetDeadline(time.Now().Add(wiretest.Timeout))
	if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	wiretest.Eventually(t, "the slot is free", func() bool { return p.Stats().Clients == 0 })
}

// TestPeek leaves what it returns.
func TestPeek(t *testing.T) {
	seenc := make(chan string, 1)
	addr := listen(t, start(t, park.Options{}), func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			b := make([]byte, 3)
			n, err := c.Peek(b)
			switch {
			case err == park.ErrAgain || c.Received() < 5:
				return
			case err != nil:
				t.Error(err)
			}
			seen := string(b[:n])
			n, _ = c.Read(b)
			seenc <- seen + string(b[:n])
			if _, err := c.Peek(b); c.Received() != 2 || err != nil {
				t.Errorf("%d bytes are left, error %v", c.Received(), err)
			}
			c.Close()
		})
	})
	peer := wiretest.Dial(t, addr)
	peer.Send("12345")
	if got := <-seenc; got != "123123" {
		t.Errorf("peeked and read %q", got)
	}
}
