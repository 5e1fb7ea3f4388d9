//go:build linux && !park_plain

package park_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// echoer returns what it reads, with a mark before each reading.
type echoer struct {
	mark   string
	events atomic.Int32
}

func (e *echoer) Ready(c *park.Conn, ev park.Event) {
	e.events.Add(1)
	if ev&park.Expired != 0 {
		c.Write([]byte(e.mark + "late"))
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	var b [64]byte
	for {
		n, err := c.Read(b[:])
		switch {
		case err == park.ErrAgain:
			return
		case err != nil:
			c.Close()
			return
		}
		c.Write(append([]byte(e.mark), b[:n]...))
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("received %q (%v), want %q", b[:n], err, want)
	}
}

func freeze(t *testing.T, p *park.Poller) *park.Frozen {
	t.Helper()
	f, err := p.Freeze(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestThaw: what arrives while the loops are frozen is handled afterwards: bytes, an end, a new connection, and what was
// posted.
func TestThaw(t *testing.T) {
	p := start(t, park.Options{Loops: 2})
	e := &echoer{mark: "a"}
	addr := listen(t, p, func(*park.Loop) park.Handler { return e })
	one, two := dial(t, addr), dial(t, addr)
	send(t, one, "1")
	expect(t, one, "a1")
	send(t, two, "2")
	expect(t, two, "a2")

	f := freeze(t, p)
	before := e.events.Load()
	send(t, one, "3")
	two.Close()
	three := dial(t, addr)
	send(t, three, "4")
	postedc := make(chan struct{})
	p.Loops()[0].Post(func() { close(postedc) })
	time.Sleep(20 * time.Millisecond) // a loop that is not frozen would handle some of it
	if n := e.events.Load(); n != before {
		t.Errorf("%d events while the loops are frozen", n-before)
	}
	select {
	case <-postedc:
		t.Error("a posted function has run while its loop is frozen")
	default:
	}
	f.Thaw()
	expect(t, one, "a3")
	expect(t, three, "a4")
	<-postedc
	wiretest.Eventually(t, "two have closed", func() bool { return p.Stats().Clients == 2 })
}

func TestFreezeGivesUp(t *testing.T) {
	p := start(t, park.Options{Loops: 2})
	busyc := make(chan struct{})
	p.Loops()[1].Post(func() { <-busyc })
	if _, err := p.Freeze(10 * time.Millisecond); !errors.Is(err, park.ErrBusy) {
		t.Errorf("Freeze of a busy loop: %v, want ErrBusy", err)
	}
	p.Loops()[0].Do(func(done func()) { done() })() // the other loop continues
	close(busyc)
	freeze(t, p).Thaw()
}

// TestMove moves connections from one poller to another. Bytes that nobody has read are read there, and the peer sees
// nothing of it; the deadline, the peer's address and the marks are the same. The first poller gets no event any more.
func TestMove(t *testing.T) {
	first := start(t, park.Options{Loops: 2, PerAddr: 10})
	second, err := park.New(park.Options{Loops: 1, PerAddr: 10})
	if err != nil {
		t.Fatal(err)
	}
	a, b := &echoer{mark: "a"}, &echoer{mark: "b"}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	listener, err := first.Open(ln, func(*park.Loop) (park.Handler, bool) { return a, true })
	if err != nil {
		t.Fatal(err)
	}
	listener.Begin()
	idle, unread, closed := dial(t, addr), dial(t, addr), dial(t, addr)
	for _, c := range []net.Conn{idle, unread, closed} {
		send(t, c, "1")
		expect(t, c, "a1")
	}

	f := freeze(t, first)
	send(t, unread, "2")
	send(t, closed, "3")
	closed.(*net.TCPConn).CloseWrite()
	var moved []*park.Conn
	f.Clients(func(c *park.Conn) bool {
		c.SetTLS(true)
		if c.RemoteAddr().Port() == portOf(idle) {
			c.SetDeadline(time.Hour)
		}
		m := park.MovingOf(c)
		if !m.Marked || !m.Counted || !m.TLS || m.Remote != c.RemoteAddr() {
			t.Errorf("Moving = %+v", m)
		}
		if want := c.RemoteAddr().Port() == portOf(idle); (m.Deadline > 59*time.Minute) != want {
			t.Errorf("deadline %v of the idle connection: %t", m.Deadline, want)
		}
		if m.Deadline > 0 {
			m.Deadline = time.Millisecond // so that it expires in the other poller
		}
		fd, err := unix.FcntlInt(uintptr(park.Descriptor(c)), unix.F_DUPFD_CLOEXEC, 0) // as SCM_RIGHTS does
		if err != nil {
			t.Fatal(err)
		}
		other, err := second.Loops()[0].Adopt(fd, m)
		if err != nil {
			t.Fatal(err)
		}
		if other.RemoteAddr() != c.RemoteAddr() || !other.TLS() || !park.Marked(other) || !park.MovingOf(other).Counted {
			t.Errorf("adopted: %v, TLS %t, marked %t", other.RemoteAddr(), other.TLS(), park.Marked(other))
		}
		other.Hold(b)
		moved = append(moved, c)
		return true
	})
	for _, c := range moved {
		park.Release(c)
	}
	if n := first.Stats().Clients; n != 0 || len(moved) != 3 {
		t.Errorf("%d moved, %d left", len(moved), n)
	}
	f.Thaw()
	before := a.events.Load()

	donec := make(chan struct{})
	go func() { defer close(donec); second.Serve() }()
	defer func() { second.Shutdown(); <-donec }()
	expect(t, unread, "b2")
	expect(t, closed, "b3")
	expect(t, idle, "blate")
	send(t, idle, "4")
	expect(t, idle, "b4")
	wiretest.Eventually(t, "the end of the third is seen", func() bool { return second.Stats().Clients == 2 })
	if n := a.events.Load(); n != before {
		t.Errorf("the first poller got %d events of connections that it has released", n-before)
	}
	fresh := dial(t, addr) // the first one's listener stays
	send(t, fresh, "5")
	expect(t, fresh, "a5")
}

func portOf(c net.Conn) uint16 {
	return netip.MustParseAddrPort(c.LocalAddr().String()).Port()
}

// TestMoveStops: visit ends the iteration.
func TestMoveStops(t *testing.T) {
	p := start(t, park.Options{Loops: 2})
	addr := listen(t, p, func(*park.Loop) park.Handler { return &echoer{mark: "a"} })
	for range 4 {
		dial(t, addr)
	}
	wiretest.Eventually(t, "all are accepted", func() bool { return p.Stats().Clients == 4 })
	f := freeze(t, p)
	defer f.Thaw()
	n := 0
	f.Clients(func(*park.Conn) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("%d visits, want 2", n)
	}
}

// TestReleaseListeners: another process goes on accepting from the same socket, and the file of a unix socket stays.
func TestReleaseListeners(t *testing.T) {
	first := start(t, park.Options{Loops: 2})
	path := t.TempDir() + "/socket"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Listen(ln, func(*park.Loop) park.Handler { return &echoer{mark: "a"} }); err != nil {
		t.Fatal(err)
	}
	list := first.ListenerDescriptors()
	if len(list) != 1 {
		t.Fatalf("%d listeners, want 1", len(list))
	}
	fd, err := unix.FcntlInt(uintptr(list[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := freeze(t, first)
	waiting, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	first.KeepSocketFiles(true)
	first.ReleaseListeners(0)
	f.Thaw()
	first.StopListening()

	second := start(t, park.Options{Loops: 1})
	file := os.NewFile(uintptr(fd), "listener")
	inherited, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(inherited, func(*park.Loop) park.Handler { return &echoer{mark: "b"} }); err != nil {
		t.Fatal(err)
	}
	waiting.SetDeadline(time.Now().Add(20 * time.Second))
	send(t, waiting, "1")
	expect(t, waiting, "b1")
	late, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	late.SetDeadline(time.Now().Add(20 * time.Second))
	send(t, late, "2")
	expect(t, late, "b2")
	if n := len(first.ListenerDescriptors()); n != 0 {
		t.Errorf("%d listeners left", n)
	}
}

// TestSocketFile: the file of a unix socket goes with its listener, unless another one has bound it anew.
func TestSocketFile(t *testing.T) {
	for name, anew := range map[string]bool{"its own": false, "bound anew": true} {
		path := filepath.Join(t.TempDir(), "socket")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, park.Options{Loops: 1})
		if err := p.Listen(ln, func(*park.Loop) park.Handler { return &echoer{} }); err != nil {
			t.Fatal(err)
		}
		if anew {
			if err := os.Rename(path, path+".was"); err != nil { // so that its inode stays in use
				t.Fatal(err)
			}
			other, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
		}
		p.StopListening()
		if _, err := os.Lstat(path); (err == nil) != anew {
			t.Errorf("%s: %v", name, err)
		}
	}
}
