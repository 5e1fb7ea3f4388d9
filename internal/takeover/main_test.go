//go:build linux && !park_plain

package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// behavior names what the new process of a test does: this binary, started again.
const behavior = "HOLDFAST_TEST_TAKER"

// Behavior is behavior.
const Behavior = behavior

func TestMain(m *testing.M) {
	if how := os.Getenv(behavior); how != "" {
		if err := newProcess(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	wiretest.Main(m)
}

// counting is the handler of connections in tests: it replies with its process's name and a number that each line
// increases. Its record is the number.
type counting struct {
	name string
	n    byte
}

func (x *counting) Ready(c *park.Conn, ev park.Event) {
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
		for range strings.Count(string(b[:n]), "\n") {
			x.n++
			c.Write(fmt.Appendf(nil, "%s %d\n", x.name, x.n))
		}
	}
}

// countings is their kind.
type countings struct {
	name    string
	version uint16
	moved   atomic.Int32
	fail    error
}

func (*countings) Name() string      { return "counting" }
func (k *countings) Version() uint16 { return k.version }
func (k *countings) Moved(*park.Conn) {
	k.moved.Add(1)
}

func (*countings) Export(c *park.Conn, b []byte) ([]byte, bool) {
	x, ok := c.Handler().(*counting)
	if !ok || x.n == 255 {
		return b, false
	}
	return append(b, x.n), true
}

func (k *countings) Adopt(c *park.Conn, version uint16, record []byte) error {
	if len(record) != 1 || version != 1 {
		return errors.New("not a record of this kind")
	}
	c.Hold(&counting{name: k.name, n: record[0]})
	return k.fail
}

// text is state of tests.
type text struct {
	name    string
	version uint16
	text    string
	log     []string
	freeze  error
	thawing func() // nil: nothing
	want    string // in the new process
	deaf    bool   // the same: it reads nothing
	reading func() // the same: called before it reads; nil: nothing
}

func (p *text) Name() string    { return p.name }
func (p *text) Version() uint16 { return p.version }

func (p *text) Thaw(moved bool) {
	p.log = append(p.log, fmt.Sprint("thaw ", moved))
	if p.thawing != nil {
		p.thawing()
	}
}

func (p *text) Freeze() error {
	p.log = append(p.log, "freeze")
	return p.freeze
}

func (p *text) Export(w io.Writer) error {
	p.log = append(p.log, "export")
	_, err := io.WriteString(w, p.text)
	return err
}

func (p *text) Import(_ uint16, r io.Reader) error {
	if p.deaf {
		return errors.New("the state is not read")
	}
	if p.reading != nil {
		p.reading()
	}
	b, err := io.ReadAll(r)
	if err == nil && string(b) != p.want {
		err = fmt.Errorf("the state is not what it should be: %d bytes", len(b))
	}
	return err
}

// large is the state of one part: several messages.
var large = strings.Repeat("0123456789", 30_000)

// Serve is what a process does that behaves as "serves"; chain_test.go sets it.
var Serve func() error

// newProcess is the new process of a test, which behaves as how says.
func newProcess(how string) error {
	if how == "serves" {
		return Serve()
	}
	if how == "confirms when orphaned" {
		return confirmOrphaned()
	}
	if how == "exits at start" {
		return errors.New("the configuration is broken")
	}
	t, err := Inherit()
	if err != nil || t == nil {
		return fmt.Errorf("not started for a take-over: %w", err)
	}
	if os.Getenv(environment) != "" {
		return errors.New("the variable is still set")
	}
	if how == "hangs at start" {
		select {}
	}
	if how == "another protocol" {
		return t.send(msgHello, []byte{protocol + 1}, nil, time.Second)
	}
	if err := t.Begin("new"); err != nil {
		return err
	}
	if how == "refuses" {
		err := errors.New("listen: port 80 is taken")
		t.Refuse(err)
		return err
	}
	p, err := park.New(park.Options{Loops: 2})
	if err != nil {
		return err
	}
	ln, err := t.Listener("main")
	if err != nil {
		return err
	}
	accept := func(*park.Loop) park.Handler { return &counting{name: "new"} }
	if err := p.Listen(ln, accept); err != nil {
		return err
	}
	parts := []Part{&text{name: "one", version: 3, want: "1"}, &text{name: "large", version: 1, want: large}, &text{name: "other", version: 1}}
	kind := &countings{name: "new", version: 1}
	switch how {
	case "lacks a part":
		parts = parts[1:]
	case "older kind":
		kind.version = 0
	case "breaks at a part":
		parts[1].(*text).want = "else"
	case "reads nothing":
		parts[1].(*text).deaf = true
	case "breaks at a connection":
		kind.fail = errors.New("no room")
	}
	if misbehaves[how] != 0 {
		return t.misbehave(how, p, parts, kind)
	}
	t.Note = func(name string, data []byte) {
		if err := os.WriteFile(string(data), []byte(name), 0o600); err != nil {
			slog.Error("note", "error", err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if how == "is told to end" {
		parts[1].(*text).reading = func() { cancel(errors.New("terminated")) }
	}
	if err := t.Take(ctx, p, parts, nil, []Kind{kind}); err != nil {
		t.Refuse(err)
		return err
	}
	go func() {
		if err := t.Late(); err != nil {
			slog.Error("late", "error", err)
		}
	}()
	return p.Serve() // until it is killed
}

// misbehaves is the message after which a new process ends or hangs in the middle.
var misbehaves = map[string]byte{
	"ends at a part": msgPartEnd, "ends at a connection": msgConns, "ends at the end": msgEnd, "ends at the final word": msgFinal,
	"hangs at a part": msgPartEnd, "hangs at a connection": msgConns, "hangs at the end": msgEnd, "hangs at the final word": msgFinal,
	"confirms when told": msgFinal, "confirms, and ends": msgFinal, "confirms by another": msgFinal,
}

// misbehave is Take up to a message.
func (t *Taker) misbehave(how string, p *park.Poller, parts []Part, kind Kind) error {
	t.parts, t.kinds, t.loops = parts, []Kind{kind}, p.Loops()
	r := ready{kinds: entries(t.kinds)}
	for _, x := range parts {
		r.parts = append(r.parts, entry{x.Name(), uint64(x.Version())})
	}
	if err := t.send(msgReady, r.append(nil), nil, time.Second); err != nil {
		return err
	}
	for {
		m, err := t.receive(time.Minute)
		if err != nil {
			return err
		}
		if m.kind == misbehaves[how] || m.kind == msgPart && misbehaves[how] == msgPartEnd {
			switch {
			case strings.HasPrefix(how, "ends"):
				return errors.New("crashed")
			case strings.HasPrefix(how, "confirms"):
				return t.confirm(how)
			}
			select {}
		}
		if err := t.handle(&m); err != nil {
			return err
		}
	}
}

// signs names a file; with .at, the new process has the final word, and with .go it may confirm.
const signs = "HOLDFAST_TEST_SIGNS"

// confirm is the end of Take, in a way that how says.
func (t *Taker) confirm(how string) error {
	at := os.Getenv(signs)
	switch how {
	case "confirms, and ends":
		if err := t.send(msgMine, nil, nil, time.Second); err != nil {
			return err
		}
		return errors.New("crashed")
	case "confirms by another": // which the old process does not kill, so that it is surely late
		f, err := t.c.File()
		if err != nil {
			return err
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), behavior+"=confirms when orphaned")
		cmd.ExtraFiles = []*os.File{f}
		if err := cmd.Start(); err != nil {
			return err
		}
		select {}
	}
	if err := os.WriteFile(at+".at", nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(at + ".go"); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := t.send(msgMine, nil, nil, time.Second); err != nil {
		return err
	}
	select {}
}

// confirmOrphaned confirms in place of its parent once that has ended.
func confirmOrphaned() error {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(time.Millisecond)
	}
	l, err := newLink(os.NewFile(3, "take-over"))
	if err != nil {
		return err
	}
	return l.send(msgMine, nil, nil, time.Second)
}

// newCommand starts this binary as a new process that behaves as how says.
func newCommand(t *testing.T, how string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), behavior+"="+how)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	return cmd
}
