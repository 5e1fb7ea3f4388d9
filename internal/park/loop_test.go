package park_test

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// do runs f on l and waits for it.
func do(t *testing.T, l *park.Loop, f func()) {
	t.Helper()
	donec := make(chan struct{})
	if !l.Post(func() { defer close(donec); f() }) {
		t.Fatal("the loop has ended")
	}
	select {
	case <-donec:
	case <-time.After(wiretest.Timeout):
		t.Fatal("the loop does not run what was posted")
	}
}

// echo sends back what comes and closes at the end; "boom" makes it panic.
var echo = handlerFunc(func(c *park.Conn, ev park.Event) {
	for {
		n, err := c.Read(c.Loop().In())
		if err != nil {
			if !errors.Is(err, park.ErrAgain) {
				c.Close()
			}
			return
		}
		if string(c.Loop().In()[:n]) == "boom" {
			panic("a handler's mistake")
		}
		c.Write(c.Loop().In()[:n])
	}
})

// TestPostOrder: what one goroutine posts runs in its order, on one goroutine at a time, and Post says
// no once the loop has ended.
func TestPostOrder(t *testing.T) {
	const posters, each = 8, 2000
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	var next [posters]int // owned by the loop
	var wg sync.WaitGroup
	for i := range posters {
		wg.Go(func() {
			for n := range each {
				l.Post(func() {
					if next[i] != n {
						t.Errorf("poster %d: %d ran when %d was next", i, n, next[i])
					}
					next[i] = n + 1
				})
			}
		})
	}
	wg.Wait()
	do(t, l, func() {
		for i, n := range next {
			if n != each {
				t.Errorf("poster %d: %d of %d ran", i, n, each)
			}
		}
	})
	p.Shutdown()
	wiretest.Eventually(t, "the loop ends", func() bool { return !l.Post(func() {}) })
}

// TestPostBeforeServe: loops take work before they run.
func TestPostBeforeServe(t *testing.T) {
	p, err := park.New(park.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	p.Loops()[0].Post(func() { ran = true })
	p.Loops()[0].Post(p.Shutdown)
	p.Serve()
	if !ran {
		t.Error("it did not run")
	}
}

// TestLaterGivesWay: work that is done in slices with Later holds up neither what is posted nor a
// connection.
func TestLaterGivesWay(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	peer := wiretest.Dial(t, listen(t, p, func(*park.Loop) park.Handler { return echo }))
	slices, stop := 0, false // owned by the loop
	var slice func()
	slice = func() {
		if slices++; !stop {
			l.Later(slice)
		}
	}
	l.Post(slice)
	for range 3 {
		before := 0
		do(t, l, func() { before = slices })
		peer.Send("x")
		peer.Expect("x")
		wiretest.Eventually(t, "slices go on", func() bool {
			now := 0
			do(t, l, func() { now = slices })
			return now > before
		})
	}
	do(t, l, func() { stop = true })
	var order []string
	do(t, l, func() {
		l.Later(func() { order = append(order, "first"); l.Later(func() { order = append(order, "third") }) })
		l.Later(func() { order = append(order, "second") })
	})
	wiretest.Eventually(t, "all have run", func() bool {
		n := 0
		do(t, l, func() { n = len(order) })
		return n == 3
	})
	do(t, l, func() {
		if order[0] != "first" || order[1] != "second" || order[2] != "third" {
			t.Errorf("order: %v", order)
		}
	})
}

// TestEach: every open connection is visited once, by its own loop, and may be closed there.
func TestEach(t *testing.T) {
	const conns = 40
	p := start(t, park.Options{Loops: 3})
	addr := listen(t, p, func(*park.Loop) park.Handler { return echo })
	peers := make([]*wiretest.Client, conns)
	for i := range peers {
		peers[i] = wiretest.Dial(t, addr)
		peers[i].Send("x")
		peers[i].Expect("x")
	}
	seen := map[string]int{}
	for _, l := range p.Loops() {
		mine := 0
		do(t, l, func() {
			l.Each(func(c *park.Conn) {
				if c.Loop() != l {
					t.Errorf("loop %d visits a connection of loop %d", l.Index, c.Loop().Index)
				}
				if c.RemoteAddr().IsValid() { // not the listener
					seen[c.RemoteAddr().String()]++
					mine++
				}
			})
		})
		if mine < conns/3-1 {
			t.Errorf("loop %d has %d of %d connections", l.Index, mine, conns)
		}
	}
	for _, c := range peers {
		if n := seen[c.LocalAddr().String()]; n != 1 {
			t.Errorf("%v was visited %d times", c.LocalAddr(), n)
		}
	}
	for _, l := range p.Loops() {
		do(t, l, func() {
			l.Each(func(c *park.Conn) {
				if c.RemoteAddr().IsValid() {
					c.Close()
				}
			})
		})
	}
	for _, c := range peers {
		if all, reset := c.Rest(); all != "" || reset {
			t.Errorf("%v: %q, reset: %v", c.LocalAddr(), all, reset)
		}
	}
}

// TestEachClosesWhatIsBeingAccepted: loops that close all they have do not meet a connection that the
// listener's loop is still giving them.
func TestEachClosesWhatIsBeingAccepted(t *testing.T) {
	const conns = 600
	p := start(t, park.Options{Loops: 3})
	addr := listen(t, p, func(*park.Loop) park.Handler { return echo })
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, l := range p.Loops()[1:] {
		wg.Go(func() {
			for !stop.Load() {
				do(t, l, func() { l.Each((*park.Conn).Close) })
			}
		})
	}
	var peers sync.WaitGroup
	for range 6 {
		peers.Go(func() {
			for range conns / 6 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				c.Close()
			}
		})
	}
	peers.Wait()
	wiretest.Eventually(t, "all have come and gone", func() bool { s := p.Stats(); return s.Accepted+s.AcceptErrors >= conns && s.Clients == 0 })
	stop.Store(true)
	wg.Wait()
	if s := p.Stats(); s.AcceptErrors != 0 || s.Clients != 0 {
		t.Errorf("%+v", s)
	}
}

// TestPanicCostsOneConnection: it is reset and counted; the others on its loop notice nothing.
func TestPanicCostsOneConnection(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	addr := listen(t, p, func(*park.Loop) park.Handler { return echo })
	good, bad := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	for n := range int64(2) {
		good.Send("before")
		good.Expect("before")
		bad.Send("boom")
		if all, reset := bad.Rest(); all != "" || !reset {
			t.Errorf("the connection of the panic: %q, reset: %v", all, reset)
		}
		good.Send("after")
		good.Expect("after")
		if s := p.Stats(); s.Panics != n+1 || s.Clients != 1 {
			t.Errorf("after %d panics: %+v", n+1, s)
		}
		bad = wiretest.Dial(t, addr)
	}
}

// TestPanicAtDeadline: an Expired event is no different.
func TestPanicAtDeadline(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	peer := wiretest.Dial(t, listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			if ev&park.Expired != 0 {
				panic("a handler's mistake")
			}
			c.SetDeadline(time.Millisecond)
		})
	}))
	if all, reset := peer.Rest(); all != "" || !reset {
		t.Errorf("%q, reset: %v", all, reset)
	}
	wiretest.Eventually(t, "it is counted", func() bool { s := p.Stats(); return s.Panics == 1 && s.Clients == 0 })
}

// TestDial: the handler is told when there is a result, and DialError tells which.
func TestDial(t *testing.T) {
	up := wiretest.NewUpstream(t, func(r *wiretest.Recorded) {
		b := make([]byte, 5)
		r.Conn.Read(b)
		r.Write(append(b, " back"...))
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := unix.Accept()
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		b := make([]byte, 5)
		c.Read(b)
		c.Write(append(b, " back"...))
		c.Close()
	})
	for _, c := range []struct{ name, network, address, want string }{
		{"tcp", "tcp", up.Addr, "hello back"},
		{"unix", "unix", path, "hello back"},
		{"refused", "tcp", nobody, ""},
		{"no such socket", "unix", path + "x", ""},
		{"not an address", "tcp", "localhost:http", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, park.Options{Loops: 1})
			resultc := make(chan string, 1)
			errc := make(chan error, 1)
			established := false
			var all []byte
			h := handlerFunc(func(conn *park.Conn, ev park.Event) {
				if !established {
					switch err := conn.DialError(); {
					case errors.Is(err, park.ErrAgain):
						return
					case err != nil:
						conn.Close()
						errc <- err
						return
					}
					established = true
					conn.Write([]byte("hello"))
				}
				for {
					n, err := conn.Read(conn.Loop().In())
					all = append(all, conn.Loop().In()[:n]...)
					if err == nil {
						continue
					}
					if !errors.Is(err, park.ErrAgain) {
						conn.Close()
						resultc <- string(all)
					}
					return
				}
			})
			l := p.Loops()[0]
			do(t, l, func() {
				if _, err := l.Dial(c.network, c.address, h); err != nil { // a result at once is allowed
					errc <- err
				}
			})
			select {
			case got := <-resultc:
				if got != c.want {
					t.Errorf("read %q, wanted %q", got, c.want)
				}
			case err := <-errc:
				if c.want != "" {
					t.Errorf("dial: %v", err)
				}
			case <-time.After(wiretest.Timeout):
				t.Fatal("no result")
			}
			if p.Stats().Clients != 0 {
				t.Error("a dialled connection counts as a client")
			}
		})
	}
}

// TestPanicInWhatWasPosted: the loop, and what was posted after it, go on.
func TestPanicInWhatWasPosted(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	donec := make(chan struct{})
	l.Post(func() { panic("posted") })
	l.Post(func() { l.Later(func() { panic("later") }); l.Later(func() { close(donec) }) })
	<-donec
	if n := p.Stats().Panics; n != 2 {
		t.Errorf("%d panics counted; want 2", n)
	}
}

// TestVisitInSlices: a long list leaves other work its turns, and neither connections that close meanwhile nor a panic
// stop it.
func TestVisitInSlices(t *testing.T) {
	const conns, slice = 300, 64
	p := start(t, park.Options{Loops: 1, Log: slog.New(slog.DiscardHandler)})
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, _ park.Event) { c.Read(c.Loop().In()) })
	})
	for range conns {
		wiretest.Dial(t, addr)
	}
	wiretest.Eventually(t, "all are open", func() bool { return p.Stats().Clients == conns })
	l := p.Loops()[0]
	var turns []int // owned by the loop: how many were visited in each
	var all []*park.Conn
	visited := 0
	donec := make(chan struct{})
	do(t, l, func() {
		var turn func()
		turn = func() {
			turns = append(turns, 0)
			l.Later(turn)
		}
		turn()
		choose := func(c *park.Conn) bool {
			client := c.RemoteAddr().IsValid() // and not the listener
			if client {
				all = append(all, c)
			}
			return client
		}
		l.VisitAll(choose, func(c *park.Conn) {
			turns[len(turns)-1]++
			switch visited++; visited {
			case 1:
				all[conns-1].Close()
			case 1 + slice: // the first of a slice: it must not cost the rest of it
				panic("a mistake")
			}
		}, func() { l.Later(func() { turn = func() {}; close(donec) }) })
	})
	<-donec
	do(t, l, func() {
		if visited != conns-1 {
			t.Errorf("%d of %d are visited; want all but the one that was closed", visited, len(all))
		}
		for i, n := range turns {
			if n > slice {
				t.Errorf("%d are visited in turn %d", n, i)
			}
		}
	})
}

// TestPostedInSlices: of much that is posted at once, other work has its turns in between.
func TestPostedInSlices(t *testing.T) {
	const posted, slice = 1000, 64
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	var turns []int // owned by the loop: how many calls ran in each
	var order []int
	donec := make(chan struct{})
	do(t, l, func() {
		var turn func()
		turn = func() {
			turns = append(turns, 0)
			if len(order) == posted {
				close(donec)
				return
			}
			l.Later(turn)
		}
		l.Later(turn)
		for i := range posted {
			l.Post(func() {
				turns[len(turns)-1]++
				order = append(order, i)
			})
		}
	})
	<-donec
	if want := (posted + slice - 1) / slice; slices.Max(turns) > slice || len(turns) < want || !slices.IsSorted(order) {
		t.Errorf("%d turns, with at most %d calls; in order: %v", len(turns), slices.Max(turns), slices.IsSorted(order))
	}
}

// TestDoEndsWithTheLoop: who waits for work on a loop is let go when the work is done, and when the loop ends before.
func TestDoEndsWithTheLoop(t *testing.T) {
	p, err := park.New(park.Options{Loops: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l := p.Loops()[0]
	ran, begun := false, false
	whole := l.Do(func(done func()) { ran = true; done() })
	cut := l.Do(func(done func()) {
		begun = true
		p.Shutdown()
		var goOn func()
		goOn = func() { l.Later(goOn) } // it has always more to do
		l.Later(goOn)
	})
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	whole()
	cut()
	<-donec
	l.Do(func(func()) { t.Error("something runs on a loop that has ended") })()
	if !ran || !begun {
		t.Errorf("ran %v, begun %v", ran, begun)
	}
}
