//go:build linux && !park_plain

package proxyheader

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// owner responds to a header with its name, the client and the rest.
type owner string

func (o owner) HeaderRead(c *park.Conn, rest []byte) {
	fmt.Fprintf(c, "%s %s %s\n", string(o), c.RemoteAddr(), rest)
	c.Close()
}

func (owner) HeaderRefused(c *park.Conn, err error) { c.Abort() }

func (o owner) accept(*park.Loop) park.Handler {
	return &Conn{Owner: o, Time: time.Hour, Trusted: func(netip.Addr) bool { return true }}
}

func (o owner) kind() *Waiting {
	return &Waiting{ID: "header", Owns: func(x Owner) bool { return x == Owner(o) }, Accept: o.accept}
}

func start(t *testing.T) *park.Poller {
	t.Helper()
	p, err := park.New(park.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = p.Serve() })
	t.Cleanup(func() { p.Shutdown(); group.Wait() })
	return p
}

// TestMove moves connections before their header, and in the middle of it; one of another owner stays.
func TestMove(t *testing.T) {
	one, two := start(t), start(t)
	listen := func(o owner) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Listen(ln, o.accept); err != nil {
			t.Fatal(err)
		}
		return ln.Addr().String()
	}
	addr, other := listen("one"), listen("other")
	silent, begun, stays := wiretest.Dial(t, addr), wiretest.Dial(t, addr), wiretest.Dial(t, other)
	begun.Send("PROXY TCP4 192.0.2.1 ")
	hasBegun := func() (yes bool) {
		one.VisitAll(nil, func(c *park.Conn) {
			x, ok := c.Handler().(*Conn)
			yes = yes || ok && len(x.b) > 0
		})()
		return yes
	}
	wiretest.Eventually(t, "a part of a header is read", hasBegun)
	wiretest.Eventually(t, "all are accepted", func() bool { return one.Stats().Clients == 3 })
	frozen, err := one.Freeze(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	from, to := owner("one").kind(), owner("two").kind()
	moved := 0
	var list []*park.Conn
	frozen.Clients(func(c *park.Conn) bool { list = append(list, c); return true })
	for _, c := range list {
		record, ok := from.Export(c, nil)
		if !ok {
			continue
		}
		moved++
		fd, err := unix.FcntlInt(uintptr(park.Descriptor(c)), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		m, l := park.MovingOf(c), two.Loops()[0]
		l.Do(func(done func()) {
			defer done()
			c, err := l.Adopt(fd, m)
			if err == nil {
				err = to.Adopt(c, 1, record)
			}
			if err != nil {
				t.Error(err)
			}
		})()
		from.Moved(c)
		park.Release(c)
	}
	frozen.Thaw()
	if moved != 2 {
		t.Errorf("%d have moved, want 2", moved)
	}
	begun.Send("198.51.100.1 4711 80\r\nrest")
	begun.Expect("two 192.0.2.1:4711 rest\n")
	silent.Send("PROXY TCP4 192.0.2.2 198.51.100.1 4712 80\r\n")
	silent.Expect("two 192.0.2.2:4712 \n")
	stays.Send("PROXY TCP4 192.0.2.3 198.51.100.1 4713 80\r\n")
	stays.Expect("other 192.0.2.3:4713 \n")
}

type noHeader struct{}

func (noHeader) Ready(*park.Conn, park.Event) {}

func TestAdoptRefuses(t *testing.T) {
	one := start(t)
	k := owner("one").kind()
	if err := k.Adopt(nil, 2, nil); !errors.Is(err, errVersion) {
		t.Errorf("version 2: %v", err)
	}
	for _, record := range []string{"", "\x00", "\x02\x00", "\x00\x01", "\x00\x00\x00"} {
		if err := k.Adopt(nil, 1, []byte(record)); err == nil {
			t.Errorf("%q is adopted", record)
		}
	}
	k.Accept = func(*park.Loop) park.Handler { return noHeader{} }
	one.Loops()[0].Do(func(done func()) {
		defer done()
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fds[1])
		c, err := one.Loops()[0].Adopt(fds[0], park.Moving{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if err := k.Adopt(c, 1, []byte{0, 0}); !errors.Is(err, errOff) {
			t.Errorf("without proxy_protocol: %v", err)
		}
	})()
}
