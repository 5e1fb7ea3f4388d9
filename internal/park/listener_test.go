package park_test

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// TestMaxConns: no more are accepted, however fast they come, and one that leaves makes room for one
// that waits.
func TestMaxConns(t *testing.T) {
	const most = 3
	p := start(t, park.Options{Loops: 2, MaxConns: most})
	var mu sync.Mutex // guards peak
	peak := int64(0)
	addr := listen(t, p, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			mu.Lock()
			peak = max(peak, p.Stats().Clients)
			mu.Unlock()
			echo(c, ev)
		})
	})
	var peers []*wiretest.Client
	for range 4 * most {
		c := wiretest.Dial(t, addr)
		c.Send("x")
		peers = append(peers, c)
	}
	wiretest.Eventually(t, "it is full", func() bool { s := p.Stats(); return s.Clients >= most && s.Refused > 0 })
	answered := make(chan *wiretest.Client)
	for _, c := range peers {
		go func() {
			if n, err := c.Read(make([]byte, 1)); n != 1 {
				t.Errorf("a client had no answer: %v", err)
			}
			answered <- c
		}()
	}
	for range peers { // each has its turn when another has gone
		(<-answered).Close()
	}
	wiretest.Eventually(t, "all have gone", func() bool { return p.Stats().Clients == 0 })
	if s := p.Stats(); peak > most || s.Accepted != 4*most {
		t.Errorf("%d were open at once, the limit is %d; %+v", peak, most, s)
	}
}

// TestAcceptRefuses: a nil handler refuses a connection.
func TestAcceptRefuses(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	addr := listen(t, p, func(*park.Loop) park.Handler { return nil })
	if all, _ := wiretest.Dial(t, addr).Rest(); all != "" {
		t.Errorf("read %q", all)
	}
	wiretest.Eventually(t, "it is counted", func() bool { s := p.Stats(); return s.Refused == 1 && s.Accepted == 0 && s.Clients == 0 })
}

// TestStopListening: new connections are refused by the system, old ones stay.
func TestStopListening(t *testing.T) {
	p := start(t, park.Options{})
	addr := listen(t, p, func(*park.Loop) park.Handler { return echo })
	other := listen(t, p, func(*park.Loop) park.Handler { return echo })
	peers := []*wiretest.Client{wiretest.Dial(t, addr), wiretest.Dial(t, other)}
	for _, c := range peers {
		c.Send("before")
		c.Expect("before")
	}
	p.StopListening()
	for _, a := range []string{addr, other} {
		wiretest.Eventually(t, "nobody listens", func() bool {
			c, err := net.Dial("tcp", a)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
	for _, c := range peers {
		c.Send("after")
		c.Expect("after")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	if err := p.Listen(ln, func(*park.Loop) park.Handler { return echo }); err != nil {
		t.Fatal(err)
	}
	again := wiretest.Dial(t, addr)
	again.Send("again")
	again.Expect("again")
}

// TestUnixListener: a unix socket's clients have no address, and its file goes with it.
func TestUnixListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, park.Options{})
	err = p.Listen(ln, func(*park.Loop) park.Handler {
		return handlerFunc(func(c *park.Conn, ev park.Event) {
			if c.RemoteAddr().IsValid() {
				t.Errorf("the client's address is %v", c.RemoteAddr())
			}
			echo(c, ev)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("hello"))
	b := make([]byte, 5)
	if n, err := c.Read(b); string(b[:n]) != "hello" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if s := p.Stats(); s.Clients != 1 {
		t.Errorf("%+v", s)
	}
	p.StopListening()
	wiretest.Eventually(t, "the file is gone", func() bool { _, err := os.Lstat(path); return os.IsNotExist(err) })
}

// TestListenAfterShutdown is refused.
func TestListenAfterShutdown(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	p.Shutdown()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := p.Listen(ln, func(*park.Loop) park.Handler { return echo }); err != park.ErrClosed {
		t.Errorf("Listen: %v", err)
	}
}

// TestShutdownWhileAccepting: what is accepted while the loops end is closed with the rest.
func TestShutdownWhileAccepting(t *testing.T) {
	for round := range 40 {
		p, err := park.New(park.Options{Loops: 3})
		if err != nil {
			t.Fatal(err)
		}
		donec := make(chan struct{})
		go func() { defer close(donec); p.Serve() }()
		addr := listen(t, p, func(*park.Loop) park.Handler { return echo })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						return
					}
					c.Write([]byte("x"))
					c.Close()
				}
			})
		}
		wiretest.Eventually(t, "some are accepted", func() bool { return p.Stats().Accepted > 20 })
		p.Shutdown()
		<-donec
		wg.Wait()
		if s := p.Stats(); s.Clients != 0 || s.AcceptErrors != 0 {
			t.Fatalf("round %d: connections were left or given to a loop that had ended: %+v", round, s)
		}
	}
}
