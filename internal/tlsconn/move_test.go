//go:build linux && !park_plain

package tlsconn

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/park"
	"holdfast/internal/takeover"
	"holdfast/internal/wiretest"
)

// carry moves connections of s to another server, with its layer if it has one, and returns how many have moved. hold sets
// their handlers there; nil: kind does.
func (s *testServer) carry(t *testing.T, to *testServer, kinds func(*testServer) takeover.Kind, hold func(*park.Conn)) (moved int) {
	t.Helper()
	frozen, err := s.poller.Freeze(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Thaw()
	var list []*park.Conn
	from, other := kinds(s), kinds(to)
	frozen.Clients(func(c *park.Conn) bool {
		record, ok := from.Export(c, []byte("before"))
		if !ok {
			return true
		}
		list = append(list, c)
		fd, err := unix.FcntlInt(uintptr(park.Descriptor(c)), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		m := park.MovingOf(c)
		l := to.poller.Loops()[len(list)%2]
		l.Do(func(done func()) {
			defer done()
			c, err := l.Adopt(fd, m)
			if err == nil {
				err = other.Adopt(c, other.Version(), record[len("before"):])
			}
			if err != nil {
				t.Error(err)
				return
			}
			if hold != nil {
				hold(c)
				park.SocketOf(c).Again(park.Readable)
			}
		})()
		return true
	})
	for _, c := range list {
		from.Moved(c)
		park.Release(c)
	}
	return len(list)
}

func layers(s *testServer) takeover.Kind { return s.Layer() }

func holdEcho(c *park.Conn) { c.Hold(new(echo)) }

// halves sends the first part of what is written at once, if it is armed, and the rest when it is told to.
type halves struct {
	net.Conn

	mu    sync.Mutex // guards what follows
	armed bool
	rest  []byte
}

func (c *halves) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed {
		return c.Conn.Write(p)
	}
	c.armed, c.rest = false, append([]byte(nil), p[len(p)/2:]...)
	_, err := c.Conn.Write(p[:len(p)/2])
	return len(p), err
}

func (c *halves) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = true
}

// half reports whether the first part was sent.
func (c *halves) half() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rest) > 0
}

func (c *halves) sendRest(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.Conn.Write(c.rest); err != nil {
		t.Fatal(err)
	}
	c.rest = nil
}

// TestMove moves sessions to and fro: one that is idle, one with data in the kernel, and one with a part of a record that
// was read.
func TestMove(t *testing.T) {
	one, two := start(t, Options{}, echoes), start(t, Options{}, echoes)
	idle, unread := one.dial(t, clientConfig(tls.VersionTLS13), nil), one.dial(t, clientConfig(tls.VersionTLS13), nil)
	part := &halves{}
	partial := one.dial(t, clientConfig(tls.VersionTLS13), func(c net.Conn) net.Conn { part.Conn = c; return part })
	for _, c := range []*tls.Conn{idle, unread, partial} {
		exchange(t, c, "a")
	}
	from, to := one, two
	for i := range 4 {
		part.arm()
		if _, err := io.WriteString(partial, "partial"); err != nil {
			t.Fatal(err)
		}
		wiretest.Eventually(t, "a part of a record is read", func() bool { return from.keepsRaw(t) })
		if _, err := io.WriteString(unread, "unread"); err != nil {
			t.Fatal(err)
		}
		if n := from.carry(t, to, layers, holdEcho); n != 3 {
			t.Fatalf("%d connections have moved, want 3", n)
		}
		if a, b := from.Stats().Open["1.3"], to.Stats().Open["1.3"]; a != 0 || b != 3 {
			t.Errorf("move %d: %d and %d connections are counted", i, a, b)
		}
		part.sendRest(t)
		expectText(t, partial, "partial")
		expectText(t, unread, "unread")
		exchange(t, idle, strings.Repeat("b", 40000))
		from, to = to, from
	}
	idle.CloseWrite()
	expectText(t, idle, "end")
}

// keepsRaw reports whether a connection of s has a part of a record.
func (s *testServer) keepsRaw(t *testing.T) (keeps bool) {
	s.poller.VisitAll(nil, func(c *park.Conn) {
		if x, ok := c.Layer().(*conn); ok && x.buf != nil && len(x.buf.raw) > 0 {
			keeps = true
		}
	})()
	return keeps
}

func expectText(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("received %q (%v), want %q", b[:n], err, want)
	}
}

// filler writes until the kernel refuses.
type filler struct{ sentc chan int }

func (x *filler) Ready(c *park.Conn, ev park.Event) {
	sent := 0
	for {
		n, err := c.Write(make([]byte, 1<<20))
		if sent += n; err != nil {
			break
		}
	}
	c.Hold(new(echo))
	x.sentc <- sent
}

// TestMoveUnsent: the part of a record that the kernel has refused is sent by the other server.
func TestMoveUnsent(t *testing.T) {
	sentc := make(chan int, 1)
	one := start(t, Options{}, func(*park.Loop) park.Handler { return &filler{sentc} })
	two := start(t, Options{}, echoes)
	client := one.dial(t, clientConfig(tls.VersionTLS13), nil)
	sent := <-sentc
	if n := one.carry(t, two, layers, holdEcho); n != 1 {
		t.Fatalf("%d connections have moved, want 1", n)
	}
	if n, err := io.CopyN(io.Discard, client, int64(sent)); err != nil {
		t.Fatalf("%d of %d bytes arrive: %v", n, sent, err)
	}
	exchange(t, client, "after")
}

// ender ends its side after the first byte.
type ender struct{}

func (*ender) Ready(c *park.Conn, ev park.Event) {
	var b [1]byte
	if n, _ := c.Read(b[:]); n == 1 {
		c.CloseWrite()
	}
}

// TestStays: a connection with TLS 1.2, and one that has ended in one direction, do not move.
func TestStays(t *testing.T) {
	one := start(t, Options{}, func(*park.Loop) park.Handler {
		return new(ender)
	})
	two := start(t, Options{}, echoes)
	old, half := one.dial(t, clientConfig(tls.VersionTLS12), nil), one.dial(t, clientConfig(tls.VersionTLS13), nil)
	if _, err := io.WriteString(half, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := half.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("%v, want the end", err)
	}
	if n := one.carry(t, two, layers, holdEcho); n != 0 {
		t.Errorf("%d connections have moved", n)
	}
	old.Close()
}

// TestMoveBeforeHandshake: a connection whose first record is not complete makes its handshake with the other server.
func TestMoveBeforeHandshake(t *testing.T) {
	one, two := start(t, Options{}, echoes), start(t, Options{}, echoes)
	part := &halves{Conn: one.dialPlain(t), armed: true}
	client := tls.Client(part, clientConfig(tls.VersionTLS13))
	silent := one.dialPlain(t)
	errc := make(chan error, 1)
	go func() { errc <- client.Handshake() }()
	wiretest.Eventually(t, "both are accepted", func() bool { return one.poller.Stats().Clients == 2 && part.half() })
	kinds := func(s *testServer) takeover.Kind { return s.Hellos(echoes) }
	if n := one.carry(t, two, kinds, nil); n != 2 {
		t.Fatalf("%d connections have moved, want 2", n)
	}
	part.sendRest(t)
	if err := <-errc; err != nil {
		t.Fatal(err)
	}
	exchange(t, client, "text")
	later := tls.Client(silent, clientConfig(tls.VersionTLS13))
	exchange(t, later, "text")
	if n := two.Stats().Made["1.3"]; n != 2 {
		t.Errorf("%d handshakes with the other server, want 2", n)
	}
}

// TestAdoptRefuses: a record that is not whole, or of another version, makes no session.
func TestAdoptRefuses(t *testing.T) {
	s := start(t, Options{}, echoes)
	client := s.dial(t, clientConfig(tls.VersionTLS13), nil)
	exchange(t, client, "a")
	s.poller.VisitAll(func(c *park.Conn) bool { return c.Layer() != nil }, func(c *park.Conn) {
		k := s.Layer()
		record, ok := k.Export(c, nil)
		if !ok {
			t.Error("not exported")
		}
		if room := make([]byte, 0, sessionRecord); len(record) > sessionRecord {
			t.Errorf("a record of %d bytes: growing leaves a copy of the secrets", len(record))
		} else if again, _ := k.Export(c, room); &again[0] != &room[:1][0] {
			t.Error("a record is copied although there is room")
		}
		for n := range record {
			if k.Adopt(c, 1, record[:n]) == nil {
				t.Errorf("%d of %d bytes are a record", n, len(record))
			}
		}
		if k.Adopt(c, 1, append(record, 0)) == nil || k.Adopt(c, 2, record) == nil || s.Hellos(echoes).Adopt(c, 1, record) == nil || s.Hellos(echoes).Adopt(c, 2, nil) == nil {
			t.Error("a record with another length or version is one")
		}
		c.Hold(new(echo))
	})()
	exchange(t, client, "b")
}
