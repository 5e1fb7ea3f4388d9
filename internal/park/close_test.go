package park_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// TestCloseSendsWhatWasWritten: what Write took arrives, then the end, however soon Close follows and
// however much of it the network has yet to take.
func TestCloseSendsWhatWasWritten(t *testing.T) {
	for _, size := range []int{1, 300, 20 << 10, 8 << 20} {
		wrote, turn := make(chan int, 1), 0
		p := start(t, park.Options{Loops: 1})
		addr := listen(t, p, func(*park.Loop) park.Handler {
			return handlerFunc(func(c *park.Conn, ev park.Event) {
				if _, err := c.Read(c.Loop().In()); err != nil {
					return // the "go" has not come yet
				}
				n, err := c.Write(fill(make([]byte, size), 7, toPeer, 0))
				if err != nil && !errors.Is(err, park.ErrAgain) {
					t.Errorf("write: %v", err)
				}
				for range turn % 100 { // the portable build's writer may be anywhere in its work by now
					runtime.Gosched()
				}
				turn++
				c.Close()
				wrote <- n
			})
		})
		for range max(2, min(300, 1<<20/size)) {
			c := wiretest.Dial(t, addr)
			c.Send("go")
			n := <-wrote
			b, err := io.ReadAll(c)
			if err != nil || len(b) != n {
				t.Fatalf("%d bytes: Write took %d, the peer read %d and then %v", size, n, len(b), err)
			}
			if i := wrong(b, 7, toPeer, 0); i >= 0 {
				t.Fatalf("%d bytes: byte %d is %x", size, i, b[i])
			}
			c.Close()
		}
	}
}

// counted is a handler that keeps what it was told.
type counted struct {
	onReady func(c *park.Conn, ev park.Event)

	mu     sync.Mutex // guards what follows
	events park.Event
	read   []byte
	err    error // what ended reading
}

func (h *counted) Ready(c *park.Conn, ev park.Event) {
	h.mu.Lock()
	h.events |= ev
	for h.err == nil {
		b := make([]byte, 100)
		n, err := c.Read(b)
		h.read = append(h.read, b[:n]...)
		if errors.Is(err, park.ErrAgain) {
			break
		}
		h.err = err
	}
	h.mu.Unlock()
	if h.onReady != nil {
		h.onReady(c, ev)
	}
}

func (h *counted) state() (park.Event, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events, string(h.read), h.err
}

// TestHangUpWhileParked: what a peer does to a connection that waits is told on the loop, without a
// worker, and costs the connection nothing until its handler closes it.
func TestHangUpWhileParked(t *testing.T) {
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
			p := start(t, park.Options{Loops: 1})
			h := &counted{}
			peer := wiretest.Dial(t, listen(t, p, func(*park.Loop) park.Handler { return h }))
			peer.Send("last words")
			wiretest.Eventually(t, "the bytes are there", func() bool { _, s, _ := h.state(); return s == "last words" })
			if ev, _, err := h.state(); ev&park.HangUp != 0 || err != nil {
				t.Fatalf("before the end: %b, %v", ev, err)
			}
			c.end(peer.Conn.(*net.TCPConn))
			wiretest.Eventually(t, "the end is told", func() bool { ev, _, err := h.state(); return err != nil && ev&park.HangUp != 0 })
			if _, _, err := h.state(); errors.Is(err, io.EOF) != c.eof {
				t.Errorf("the end is %v", err)
			}
			if s := p.Stats(); s.Clients != 1 || s.Workers != 0 {
				t.Errorf("before Close: %+v", s)
			}
			p.Loops()[0].Post(func() { p.Loops()[0].Each((*park.Conn).Close) })
			wiretest.Eventually(t, "it is closed", func() bool { return p.Stats().Clients == 0 })
		})
	}
}

// TestHalfClose: after the peer has ended its side, and after we have ended ours, the other direction
// goes on.
func TestHalfClose(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	eof := &counted{}
	eof.onReady = func(c *park.Conn, ev park.Event) {
		if errors.Is(eof.err, io.EOF) {
			c.Write([]byte("after your end"))
			c.Close()
		}
	}
	peer := wiretest.Dial(t, listen(t, p, func(*park.Loop) park.Handler { return eof }))
	peer.Send("x")
	peer.Conn.(*net.TCPConn).CloseWrite()
	if all, reset := peer.Rest(); all != "after your end" || reset {
		t.Errorf("after the peer's end: %q, reset: %v", all, reset)
	}

	ours := &counted{}
	ours.onReady = func(c *park.Conn, ev park.Event) {
		if string(ours.read) == "end" {
			c.Write([]byte("before our end"))
			if err := c.CloseWrite(); err != nil {
				t.Errorf("CloseWrite: %v", err)
			}
			ours.onReady = nil
		}
	}
	peer = wiretest.Dial(t, listen(t, p, func(*park.Loop) park.Handler { return ours }))
	peer.Send("end")
	if all, reset := peer.Rest(); all != "before our end" || reset {
		t.Errorf("our end: %q, reset: %v", all, reset)
	}
	peer.Send(", and more")
	wiretest.Eventually(t, "reading goes on", func() bool { _, s, _ := ours.state(); return s == "end, and more" })
}

// TestAbortResets: the peer cannot take what it has for the whole.
func TestAbortResets(t *testing.T) {
	for name, end := range map[string]func(*park.Conn){"Abort": (*park.Conn).Abort, "Close": (*park.Conn).Close} {
		t.Run(name, func(t *testing.T) {
			p := start(t, park.Options{})
			addr := listen(t, p, func(*park.Loop) park.Handler {
				return handlerFunc(func(c *park.Conn, ev park.Event) {
					if _, err := c.Read(c.Loop().In()); err == nil {
						end(c)
					}
				})
			})
			peer := wiretest.Dial(t, addr)
			peer.Send("x")
			if all, reset := peer.Rest(); all != "" || reset != (name == "Abort") {
				t.Errorf("the peer read %q; reset: %v", all, reset)
			}
		})
	}
}

// TestStaleRef: a reference to a connection that has closed leads nowhere, also when its slot is
// another connection's.
func TestStaleRef(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	refc := make(chan park.Ref, 1)
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			b := c.Loop().In()
			switch n, err := c.Read(b); {
			case err == nil && string(b[:n]) == "hello":
				refc <- c.Ref()
			case err != nil && !errors.Is(err, park.ErrAgain):
				c.Close()
			}
		})
	})
	hello := func() (*wiretest.Client, park.Ref) {
		peer := wiretest.Dial(t, addr)
		peer.Send("hello")
		return peer, <-refc
	}
	// conn asks on the loop what r leads to.
	conn := func(r park.Ref) (c *park.Conn, ok bool) {
		donec := make(chan struct{})
		l.Post(func() { c, ok = r.Conn(); close(donec) })
		<-donec
		return c, ok
	}
	first, old := hello()
	slot, ok := conn(old)
	if !ok {
		t.Fatal("a reference to an open connection leads nowhere")
	}
	first.Close()
	wiretest.Eventually(t, "it is closed", func() bool { return p.Stats().Clients == 0 })
	if _, ok := conn(old); ok {
		t.Error("the reference leads to a closed connection")
	}
	for range 100 { // until the slot is taken again
		_, r := hello()
		c, ok := conn(r)
		if !ok {
			t.Fatal("a new connection's reference leads nowhere")
		}
		if c != slot {
			continue
		}
		if _, ok := conn(old); ok {
			t.Error("the old reference leads to the new connection")
		}
		ran := make(chan bool, 2)
		old.Post(l, func(*park.Conn) { ran <- true })
		l.Post(func() { ran <- false })
		if <-ran {
			t.Error("what was posted to the old connection ran on the new one")
		}
		return
	}
	t.Error("the slot was not used again")
}

// TestStaleEvents: an event that was taken from the kernel with others is dropped if an earlier one of
// them made its connection close, also when the descriptor is another connection's by then.
func TestStaleEvents(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	up := wiretest.NewUpstream(t, func(r *wiretest.Recorded) { io.Copy(io.Discard, r) })
	var conns []*park.Conn // owned by the loop until donec, as are reused and told
	readyc := make(chan struct{}, 2)
	var reused, told bool
	donec := make(chan struct{})
	newcomer := handlerFunc(func(c *park.Conn, ev park.Event) {
		select {
		case <-donec:
		default:
			told = told || ev&park.HangUp != 0
		}
	})
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			b := c.Loop().In()
			n, err := c.Read(b)
			switch {
			case err == nil && string(b[:n]) == "hello":
				conns = append(conns, c)
				readyc <- struct{}{}
			case errors.Is(err, io.EOF): // both have ended: close the other, whose event comes next
				other := conns[0]
				if other == c {
					other = conns[1]
				}
				other.Close()
				made, err := l.Dial("tcp", up.Addr, newcomer)
				if err != nil {
					t.Errorf("dial: %v", err)
				}
				reused = made == other
				c.Close()
				// The rest of the batch comes before this, and one more round.
				l.Later(func() { l.Later(func() { close(donec) }) })
			}
		})
	})
	a, b := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	for _, c := range []*wiretest.Client{a, b} {
		c.Send("hello")
		<-readyc
	}
	// The loop is kept busy until both ends have arrived.
	busyc, freec := make(chan struct{}), make(chan struct{})
	l.Post(func() { close(busyc); <-freec })
	<-busyc
	for _, c := range []*wiretest.Client{a, b} {
		c.Conn.(*net.TCPConn).CloseWrite()
	}
	close(freec)
	<-donec
	if !reused {
		t.Error("the slot was not used again: the test shows nothing")
	}
	if told {
		t.Error("the new connection was told of the old one's hang-up")
	}
}
