//go:build linux && !park_plain

package takeover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// old is the old process of a test.
type old struct {
	*Giver
	addr  string
	kind  *countings
	parts [2]*text
}

func startOld(t *testing.T) *old {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	p, err := park.New(park.Options{Loops: 2, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &old{addr: ln.Addr().String(), kind: &countings{name: "old", version: 1}}
	if err := p.Listen(ln, func(*park.Loop) park.Handler { return &counting{name: "old"} }); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = p.Serve() })
	t.Cleanup(func() { p.Shutdown(); group.Wait() })
	x.parts = [2]*text{{name: "one", version: 2, text: "1"}, {name: "large", version: 1, text: large}}
	x.Giver = &Giver{
		Poller: p, Parts: []Part{x.parts[0], x.parts[1]}, Kinds: []Kind{x.kind}, Binary: "old", Log: log,
		Listeners: []Listener{{Name: "main", Descriptor: p.ListenerDescriptors()[0]}},
		Limits:    Limits{Start: 20 * time.Second, Step: 20 * time.Second, Total: time.Minute},
		Moved:     func(*Handover) { p.ReleaseListeners(0) },
	}
	return x
}

// client is a connection that counts lines.
type client struct {
	net.Conn
	r *bufio.Reader
	n int
}

func (x *old) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", x.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &client{Conn: c, r: bufio.NewReader(c)}
}

func (c *client) say(t *testing.T) {
	t.Helper()
	if _, err := c.Write([]byte("x\n")); err != nil {
		t.Fatal(err)
	}
}

// hear expects the next number, from the process of a name.
func (c *client) hear(t *testing.T, name string) {
	t.Helper()
	c.n++
	line, err := c.r.ReadString('\n')
	if want := fmt.Sprintf("%s %d\n", name, c.n); err != nil || line != want {
		t.Fatalf("received %q (%v), want %q", line, err, want)
	}
}

// TestTakeOver moves 600 connections in batches. What they send meanwhile is read by the new process; a connection that
// cannot move stays, and one that comes to rest later follows.
func TestTakeOver(t *testing.T) {
	x := startOld(t)
	clients := make([]*client, 600)
	for i := range clients {
		clients[i] = x.dial(t)
		clients[i].say(t)
		clients[i].hear(t, "old")
	}
	stays := x.dial(t)
	for range 255 {
		stays.say(t)
		stays.hear(t, "old")
	}
	x.parts[1].log = nil
	h, err := x.Run(context.Background(), newCommand(t, "takes over"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.child.kill()
	if h.Conns != 600 || h.Stayed != 1 || h.Binary != "new" || h.PID != h.child.cmd.Process.Pid || h.Pause <= 0 {
		t.Errorf("%d have moved, %d have stayed, binary %q, pause %v", h.Conns, h.Stayed, h.Binary, h.Pause)
	}
	if n := x.kind.moved.Load(); n != 600 {
		t.Errorf("the kind has learned of %d", n)
	}
	for _, p := range x.parts {
		if want := []string{"freeze", "export", "thaw true"}; !slices.Equal(p.log, want) {
			t.Errorf("%s: %v, want %v", p.name, p.log, want)
		}
	}
	for _, c := range clients {
		c.say(t)
		c.hear(t, "new")
	}
	fresh := x.dial(t)
	fresh.say(t)
	fresh.hear(t, "new")

	// One that stays comes to rest.
	p := h.Passer()
	defer p.Close()
	passedc := make(chan bool)
	x.Poller.VisitAll(nil, func(c *park.Conn) {
		if !p.Pass(c) { // it still has 255
			c.Handler().(*counting).n = 7
			stays.n = 7
		}
		go func() { passedc <- true }()
	})()
	<-passedc
	x.Poller.VisitAll(nil, func(c *park.Conn) { ok := p.Pass(c); go func() { passedc <- ok }() })()
	if !<-passedc {
		t.Error("a connection was not passed later")
	}
	stays.say(t)
	stays.hear(t, "new")
	file := filepath.Join(t.TempDir(), "note")
	if !p.Tell("learned", []byte(file)) {
		t.Error("the new process was not told")
	}
	wiretest.Eventually(t, "the note has come", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && string(b) == "learned"
	})
	wiretest.Eventually(t, "nothing is left", func() bool { return x.Poller.Stats().Clients == 0 })
}

// TestFailures: whatever the new process does before the final word, everything goes on in the old one, and the error says
// what has happened. Then a good one takes over.
func TestFailures(t *testing.T) {
	for how, want := range map[string]string{
		"exits at start":          "the new process has ended (exit status 1)",
		"hangs at start":          "did not respond in time",
		"another protocol":        "version 2 of the protocol, and this one version 1",
		"refuses":                 "listen: port 80 is taken",
		"lacks a part":            `the new binary does not know state "one"`,
		"older kind":              `the new binary reads connections of kind "counting" up to version 0, and this one writes version 1`,
		"breaks at a part":        "the state is not what it should be",
		"reads nothing":           "the state is not read",
		"breaks at a connection":  "no room",
		"ends at a part":          "the new process has ended (exit status 1)",
		"ends at a connection":    "the new process has ended (exit status 1)",
		"ends at the end":         "the new process has ended (exit status 1)",
		"ends at the final word":  "the new process has ended (exit status 1)",
		"hangs at a part":         "did not respond in time",
		"hangs at a connection":   "did not respond in time",
		"hangs at the end":        "did not respond in time",
		"hangs at the final word": "did not respond in time",
		"is told to end":          "the new process has ended (exit status 1)",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			x := startOld(t)
			if strings.HasPrefix(how, "hangs") {
				x.Limits.Step = 300 * time.Millisecond
				if how == "hangs at start" {
					x.Limits.Start = 300 * time.Millisecond
				}
			}
			clients := []*client{x.dial(t), x.dial(t), x.dial(t)}
			for _, c := range clients {
				c.say(t)
				c.hear(t, "old")
			}
			cmd := newCommand(t, how)
			x.parts[0].thawing = func() {
				if syscall.Kill(cmd.Process.Pid, 0) == nil {
					t.Error("this process goes on while the other one still runs")
				}
			}
			_, err := x.Run(context.Background(), cmd)
			x.parts[0].thawing = nil
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("error %v, want %q", err, want)
			}
			clients = append(clients, x.dial(t))
			for _, c := range clients {
				c.say(t)
				c.hear(t, "old")
			}
			for _, p := range x.parts {
				if n := len(p.log); n > 0 && p.log[n-1] != "thaw false" {
					t.Errorf("%s: %v", p.name, p.log)
				}
			}
			if x.kind.moved.Load() != 0 {
				t.Error("a connection has moved")
			}
			x.Limits = Limits{Start: time.Minute, Step: time.Minute, Total: time.Minute}
			h, err := x.Run(context.Background(), newCommand(t, "takes over"))
			if err != nil {
				t.Fatal(err)
			}
			defer h.child.kill()
			defer h.Passer().Close()
			for _, c := range clients {
				c.say(t)
				c.hear(t, "new")
			}
		})
	}
}

func TestOldProcessGivesUp(t *testing.T) {
	t.Run("a part does not freeze", func(t *testing.T) {
		x := startOld(t)
		x.parts[1].freeze = errors.New("a publish does not end")
		_, err := x.Run(context.Background(), newCommand(t, "takes over"))
		if err == nil || !strings.Contains(err.Error(), "large: a publish does not end") {
			t.Errorf("error %v", err)
		}
		for _, p := range x.parts {
			if want := []string{"freeze", "thaw false"}; !slices.Equal(p.log, want) {
				t.Errorf("%s: %v, want %v", p.name, p.log, want)
			}
		}
	})
	t.Run("it shuts down", func(t *testing.T) {
		x := startOld(t)
		ctx, cancel := context.WithCancelCause(context.Background())
		down := errors.New("shutting down")
		time.AfterFunc(50*time.Millisecond, func() { cancel(down) })
		if _, err := x.Run(ctx, newCommand(t, "hangs at start")); !errors.Is(err, down) {
			t.Errorf("error %v, want %v", err, down)
		}
	})
	t.Run("it shuts down after the final word", func(t *testing.T) {
		x := startOld(t)
		cmd := newCommand(t, "confirms when told")
		at := filepath.Join(t.TempDir(), "sign")
		cmd.Env = append(cmd.Env, signs+"="+at)
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() {
			for {
				if _, err := os.Stat(at + ".at"); err == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			cancel(errors.New("shutting down"))
			time.Sleep(20 * time.Millisecond) // what it ends, it ends by now
			_ = os.WriteFile(at+".go", nil, 0o600)
		}()
		h, err := x.Run(ctx, cmd)
		if err != nil {
			t.Fatalf("error %v: both may serve", err)
		}
		if h.Err() != nil {
			t.Error(h.Err())
		}
		h.child.kill()
		if err := h.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("there is no such program", func(t *testing.T) {
		x := startOld(t)
		cmd := newCommand(t, "")
		cmd.Path = "/nonexistent"
		if _, err := x.Run(context.Background(), cmd); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v, want one of a missing file", err)
		}
	})
	t.Run("too many listeners", func(t *testing.T) {
		x := startOld(t)
		x.Listeners = make([]Listener, maxBatch+1)
		if _, err := x.Run(context.Background(), newCommand(t, "takes over")); err == nil || !strings.Contains(err.Error(), "251 listeners") {
			t.Errorf("error %v", err)
		}
	})
}

// TestEndedBeforeHello: a process that has ended before the first message is sent is said to have ended, and how.
func TestEndedBeforeHello(t *testing.T) {
	c, err := start(newCommand(t, "exits at start"))
	if err != nil {
		t.Fatal(err)
	}
	<-c.ended
	h := &Handover{g: &Giver{Limits: Limits{Start: time.Minute}}, child: c}
	if err := c.abandon(h.prepare()); err == nil || !strings.Contains(err.Error(), "has ended (exit status 1)") {
		t.Errorf("error %v", err)
	}
}

// TestNobodyServes: a process that has confirmed and ended has taken everything with it, and that is no success.
func TestNobodyServes(t *testing.T) {
	for how, want := range map[string]string{"confirms, and ends": "exit status 1", "confirms by another": "killed"} {
		t.Run(how, func(t *testing.T) {
			x := startOld(t)
			if how == "confirms by another" {
				x.Limits.Step = 2 * time.Second // also for the one that confirms in its place
			}
			h, err := x.Run(context.Background(), newCommand(t, how))
			if err != nil {
				t.Fatal(err)
			}
			<-h.Ended()
			if err := h.Err(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if n := len(x.parts[0].log); x.parts[0].log[n-1] != "thaw true" {
				t.Errorf("the state goes on here: %v", x.parts[0].log)
			}
		})
	}
}

func TestInherit(t *testing.T) {
	t.Setenv(environment, "")
	if x, err := Inherit(); x != nil || err != nil {
		t.Errorf("without the variable: %v, %v", x, err)
	}
	for _, text := range []string{"2", "x", "-1", "9999"} {
		t.Setenv(environment, text)
		if _, err := Inherit(); err == nil || !strings.Contains(err.Error(), environment) {
			t.Errorf("%s=%s: %v", environment, text, err)
		}
	}
}
