//go:build linux && !park_plain

package headread

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// process is a poller whose readers respond with their name, the target and the rest.
type process struct {
	name    string
	poller  *park.Poller
	readers []*Reader
}

func (p *process) HeadRead(c *park.Conn, head, rest []byte, more bool) {
	target := strings.Fields(string(head))[1]
	switch target {
	case "/hold":
		c.Hold(&request{string(head)})
		return
	case "/stay":
		c.Hold(stays{})
		return
	}
	fmt.Fprintf(c, "%s %s\n", p.name, target)
	p.reader(c.Loop()).Resume(c, rest, more)
}

func (p *process) HeadRefused(c *park.Conn, r *http1.Refusal, _ []byte) { c.Close() }

func (p *process) reader(l *park.Loop) *Reader { return p.readers[l.Index] }

// request is the handler of a held one, and stays of a connection that cannot move.
type (
	request struct{ head string }
	stays   struct{}
)

func (*request) Ready(*park.Conn, park.Event) {}
func (stays) Ready(*park.Conn, park.Event)    {}

func (p *process) kind() *Idle {
	return &Idle{
		Reader: p.reader,
		Held: func(h park.Handler) (head, body []byte, ok bool) {
			x, ok := h.(*request)
			if !ok {
				return nil, nil, false
			}
			return []byte(strings.Replace(x.head, "/hold", "/held", 1)), nil, true
		},
		Dropped: func(h park.Handler) { h.(*request).head = "" },
	}
}

func start(t *testing.T, name string) *process {
	t.Helper()
	poller, err := park.New(park.Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, poller: poller}
	for _, l := range poller.Loops() {
		p.readers = append(p.readers, &Reader{Owner: p, Loop: l, FirstTime: time.Minute, IdleTime: time.Hour, MaxBytes: 4096})
	}
	var group sync.WaitGroup
	group.Go(func() { _ = poller.Serve() })
	t.Cleanup(func() { poller.Shutdown(); group.Wait() })
	return p
}

// carry moves c to another process, if it can move.
func carry(t *testing.T, c *park.Conn, from, to *process) bool {
	k := from.kind()
	record, ok := k.Export(c, nil)
	if !ok {
		return false
	}
	fd, err := unix.FcntlInt(uintptr(park.Descriptor(c)), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return false
	}
	m, l := park.MovingOf(c), to.poller.Loops()[0]
	l.Do(func(done func()) {
		defer done()
		c, err := l.Adopt(fd, m)
		if err == nil {
			err = to.kind().Adopt(c, 1, record)
		}
		if err != nil {
			t.Error(err)
		}
	})()
	k.Moved(c)
	park.Release(c)
	return true
}

// TestIdle moves connections that wait for a request: idle, in the middle of a head, just accepted, with bytes in the
// kernel, and with a request that is held.
func TestIdle(t *testing.T) {
	one, two := start(t, "one"), start(t, "two")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := one.poller.Listen(ln, func(l *park.Loop) park.Handler { return one.reader(l) }); err != nil {
		t.Fatal(err)
	}
	idle, cut, unread := wiretest.Dial(t, addr), wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	held, staying := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	for i, c := range []*wiretest.Client{idle, cut, unread, held, staying} {
		c.Send(fmt.Sprintf("GET /%d HTTP/1.1\r\n\r\n", i))
		c.Expect(fmt.Sprintf("one /%d\n", i))
	}
	cut.Send("GET /partial HT")
	held.Send("GET /hold HTTP/1.1\r\n\r\n")
	staying.Send("GET /stay HTTP/1.1\r\n\r\n")
	count := func() int32 {
		var n atomic.Int32
		one.poller.VisitAll(nil, func(c *park.Conn) {
			switch c.Handler().(type) {
			case *request, stays, *partial:
				n.Add(1)
			}
		})()
		return n.Load()
	}
	wiretest.Eventually(t, "the three are read", func() bool { return count() == 3 })

	frozen, err := one.poller.Freeze(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fresh := wiretest.Dial(t, addr) // stays in the listener's queue
	unread.Send("GET /unread HTTP/1.1\r\n\r\n")
	var list []*park.Conn
	frozen.Clients(func(c *park.Conn) bool { list = append(list, c); return true })
	moved := 0
	for _, c := range list {
		if carry(t, c, one, two) {
			moved++
		}
	}
	if moved != 4 || len(list) != 5 {
		t.Errorf("%d of %d have moved, want 4 of 5", moved, len(list))
	}
	frozen.Thaw()
	unread.Expect("two /unread\n")
	held.Expect("two /held\n")
	cut.Send("TP/1.1\r\n\r\n")
	cut.Expect("two /partial\n")
	wiretest.Eventually(t, "the idle one is adopted", func() bool { return two.poller.Stats().Clients == 4 })
	two.poller.VisitAll(nil, func(c *park.Conn) {
		if d := park.MovingOf(c).Deadline; d < 30*time.Minute {
			t.Errorf("a connection is closed in %v, as if it were new", d)
		}
	})()
	idle.Send("GET /again HTTP/1.1\r\n\r\n")
	idle.Expect("two /again\n")
	fresh.Send("GET /fresh HTTP/1.1\r\n\r\n")
	fresh.Expect("one /fresh\n")
}

// TestLeave: after a take-over, a connection is passed on when it comes to rest, with what it has sent. One that cannot
// move is closed, after the requests that it has sent.
func TestLeave(t *testing.T) {
	one, two := start(t, "one"), start(t, "two")
	var stuck atomic.Bool
	for _, r := range one.readers {
		r.Pass = func(c *park.Conn) bool { return !stuck.Load() && carry(t, c, one, two) }
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := one.poller.Listen(ln, func(l *park.Loop) park.Handler { return one.reader(l) }); err != nil {
		t.Fatal(err)
	}
	moves := wiretest.Dial(t, ln.Addr().String())
	moves.Send("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HT")
	moves.Expect("one /1\ntwo /2\n")
	moves.Send("TP/1.1\r\n\r\n")
	moves.Expect("two /3\n")
	stuck.Store(true)
	cannot := wiretest.Dial(t, ln.Addr().String())
	cannot.Send("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
	cannot.Expect("one /1\none /2\n")
	if rest, _ := cannot.Rest(); rest != "" {
		t.Errorf("it sends %q", rest)
	}
}

func TestIdleRefuses(t *testing.T) {
	k := start(t, "one").kind()
	if err := k.Adopt(nil, 2, nil); err == nil {
		t.Error("version 2 is adopted")
	}
	for _, record := range []string{"", "\x00", "\x02\x00", "\x00\x01", "\x00\x00\x00"} {
		if err := k.Adopt(nil, 1, []byte(record)); err == nil {
			t.Errorf("%q is adopted", record)
		}
	}
}
