package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// Taker is the new process of a take-over.
type Taker struct {
	*link
	Old string // version of the old process's binary

	// Note takes what the old process learns later, by name. Set it before Late, on whose goroutine it runs. It must not
	// keep the data.
	Note func(name string, data []byte)

	// Lost is called for each connection of the old process that comes later and can't be taken. Set it as Note.
	Lost func(err error)

	// Reply is what the old process gets with the confirmation, as Handover.Reply. Set it before Take.
	Reply []byte

	limits    Limits
	listeners map[string]int // descriptors by name; those that were not taken

	parts         []Part
	layers, kinds []Kind
	loops         []*park.Loop
	adopted       int
	open          []*park.Conn // adopted before the final word
	records       []byte       // of the connections to come
}

// Inherit returns the new process's end if this process was started for a take-over; nil: it was not.
func Inherit() (*Taker, error) {
	text := os.Getenv(environment)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(environment) // not for processes that this one starts
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: it is set by a Holdfast that starts its successor, and by nobody else: unset it", environment, text)
	}
	l, err := newLink(os.NewFile(uintptr(fd), "take-over"))
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", environment, text, err)
	}
	return newTaker(l), nil
}

func newTaker(l *link) *Taker {
	t := &Taker{link: l, listeners: map[string]int{}}
	t.limits.setDefaults()
	return t
}

// Begin takes the listeners. binary is the version of this one. A nil Taker has none to take.
func (t *Taker) Begin(binary string) error {
	if t == nil {
		return nil
	}
	m, err := t.expect(msgHello, t.limits.Start)
	if err != nil {
		return gone(err)
	}
	other, err := readHello(m.body)
	if err != nil {
		return err
	}
	t.Old = other.binary
	if err := t.send(msgHello, hello{protocol, binary}.append(nil), nil, t.limits.Start); err != nil {
		return gone(err)
	}
	if m, err = t.expect(msgListeners, t.limits.Start); err != nil {
		return gone(err)
	}
	d := plainval.NewDecoder(m.body)
	for _, fd := range m.descriptors {
		name := d.String()
		if _, twice := t.listeners[name]; twice {
			d.Fail("the listener %q twice", name)
		}
		t.listeners[name] = fd
	}
	return d.End()
}

var errGone = errors.New("take-over: the old process has ended it")

func gone(err error) error {
	if errors.Is(err, io.EOF) {
		return errGone
	}
	return fmt.Errorf("take-over: %w", err)
}

// Listener returns the old process's listener of a name; nil: it has none, or t is nil. Its socket file, if it has one,
// stays when it is closed.
func (t *Taker) Listener(name string) (net.Listener, error) {
	if t == nil {
		return nil, nil
	}
	fd, ok := t.listeners[name]
	if !ok {
		return nil, nil
	}
	delete(t.listeners, name)
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return net.FileListener(f)
}

// Untaken returns the names of the old process's listeners that were not taken. Take closes them.
func (t *Taker) Untaken() []string { return slices.Sorted(maps.Keys(t.listeners)) }

// Refuse tells the old process why this one ends. A nil Taker has nobody to tell.
func (t *Taker) Refuse(err error) {
	if t == nil {
		return
	}
	var e plainval.Encoder
	text := err.Error()
	e.String(text[:min(len(text), maxData/2)])
	_ = t.send(msgRefused, e.B, nil, t.limits.Step) // else it only learns that this process has ended
	t.close()
}

// Take takes everything over. It returns nil after the final word: all is this process's, and its loops may run. Until
// then nothing has happened, and it must close nothing that both processes share but by close(2). If ctx ends before the
// final word, the old process goes on.
func (t *Taker) Take(ctx context.Context, p *park.Poller, parts []Part, layers, kinds []Kind) (err error) {
	for name, fd := range t.listeners { // what the configuration no longer has
		closeAll([]int{fd})
		delete(t.listeners, name)
	}
	keep := context.AfterFunc(ctx, t.close)
	defer keep()
	t.parts, t.layers, t.kinds, t.loops = parts, layers, kinds, p.Loops()
	r := ready{layers: entries(layers), kinds: entries(kinds)}
	for _, x := range parts {
		r.parts = append(r.parts, entry{x.Name(), uint64(x.Version())})
	}
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("take-over: %w before everything had moved: the old process continues", context.Cause(ctx))
		}
		if err != nil { // they are the old process's
			for _, c := range t.open {
				park.Release(c)
			}
		}
		t.open = nil
	}()
	if err := t.send(msgReady, r.append(nil), nil, t.limits.Step); err != nil {
		return gone(err)
	}
	for {
		m, err := t.receive(t.limits.Start)
		if err != nil {
			return gone(err)
		}
		if m.kind == msgFinal {
			break
		}
		if err := t.handle(&m); err != nil {
			return err
		}
	}
	if !keep() {
		return net.ErrClosed // ctx has ended
	}
	if err := t.send(msgMine, t.Reply, nil, t.limits.Step); err != nil {
		return gone(err)
	}
	return nil
}

func entries(kinds []Kind) (list []entry) {
	for _, k := range kinds {
		list = append(list, entry{k.Name(), uint64(k.Version())})
	}
	return list
}

// handle does what a message before the final word asks for.
func (t *Taker) handle(m *message) error {
	switch m.kind {
	case msgData:
		return t.gather(m)
	case msgPart:
		if err := t.takePart(m.body); err != nil {
			return err
		}
	case msgConns:
		if err := t.takeConns(m, t.adoptEarly); err != nil {
			return err
		}
	case msgEnd:
		d := plainval.NewDecoder(m.body)
		if n := d.Uint(); d.End() == nil && n != uint64(t.adopted) {
			return fmt.Errorf("take-over: %d connections have come, and %d were sent", t.adopted, n)
		} else if d.Err() != nil {
			return d.Err()
		}
	default:
		closeAll(m.descriptors)
		return fmt.Errorf("take-over: %w", m.unexpected())
	}
	if err := t.send(msgOK, nil, nil, t.limits.Step); err != nil {
		return gone(err)
	}
	return nil
}

// gather keeps records for the descriptors that follow.
func (t *Taker) gather(m *message) error {
	if len(t.records)+len(m.body) > maxRecords {
		return errors.New("take-over: the records of connections are too large")
	}
	t.records = append(grow(t.records, len(m.body)), m.body...)
	clear(m.body)
	return nil
}

// takePart has a part read what follows.
func (t *Taker) takePart(body []byte) error {
	d := plainval.NewDecoder(body)
	name, version := d.String(), uint16(d.Below(1<<16))
	if err := d.End(); err != nil {
		return err
	}
	for _, p := range t.parts {
		if p.Name() != name {
			continue
		}
		r := partReader{t: t}
		if err := p.Import(version, &r); err != nil {
			return fmt.Errorf("take-over: %s: %w", name, err)
		}
		if n, err := io.Copy(io.Discard, &r); n > 0 || err != nil {
			return fmt.Errorf("take-over: %s: %d bytes too many, %v", name, n, err)
		}
		return nil
	}
	return fmt.Errorf("take-over: unknown state %q", name)
}

// partReader returns the data of a part.
type partReader struct {
	t    *Taker
	b    []byte
	done bool
}

// Read implements io.Reader.
func (r *partReader) Read(p []byte) (int, error) {
	for len(r.b) == 0 {
		if r.done {
			return 0, io.EOF
		}
		m, err := r.t.receive(r.t.limits.Start)
		if err != nil {
			return 0, gone(err)
		}
		switch m.kind {
		case msgData:
			r.b = m.body
		case msgPartEnd:
			r.done = true
		default:
			closeAll(m.descriptors)
			return 0, m.unexpected()
		}
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// takeConns has the connections of a message adopted, with the records that came before.
func (t *Taker) takeConns(m *message, adopt func(l *park.Loop, fd int, r *record) error) error {
	records := t.records
	d := plainval.NewDecoder(m.body)
	n := d.Uint()
	if err := d.End(); err != nil || n != uint64(len(m.descriptors)) || n == 0 {
		closeAll(m.descriptors)
		return fmt.Errorf("take-over: %d descriptors have come, and %d were sent", len(m.descriptors), n)
	}
	var failed error
	d = plainval.NewDecoder(records)
	for i, fd := range m.descriptors {
		r, err := readRecord(d)
		if err != nil {
			closeAll(m.descriptors[i:])
			return err
		}
		l := t.loops[t.adopted%len(t.loops)]
		t.adopted++
		if err := adopt(l, fd, &r); err != nil && failed == nil {
			failed = err
		}
	}
	clear(records)
	t.records = records[:0]
	if err := d.End(); err != nil {
		return err
	}
	return failed
}

// adoptEarly is adopt before the final word.
func (t *Taker) adoptEarly(l *park.Loop, fd int, r *record) error {
	c, err := t.adopt(l, fd, r)
	if c != nil {
		t.open = append(t.open, c)
	}
	return err
}

// adoptLate is adopt after it: the connection is this process's alone. One that can't be taken is closed, and others
// follow.
func (t *Taker) adoptLate(l *park.Loop, fd int, r *record) error {
	var err error
	l.Do(func(done func()) {
		defer done()
		var c *park.Conn
		if c, err = t.adopt(l, fd, r); err != nil && c != nil {
			c.Abort()
		}
	})()
	if err != nil && t.Lost != nil {
		t.Lost(err)
	}
	return nil
}

// adopt opens a connection on its loop. It returns the connection also with an error, if it is open.
func (t *Taker) adopt(l *park.Loop, fd int, r *record) (*park.Conn, error) {
	c, err := l.Adopt(fd, r.Moving)
	if err != nil {
		return nil, fmt.Errorf("take-over: %w", err)
	}
	if r.layer.kind >= 0 {
		if err := by(t.layers, c, &r.layer); err != nil {
			return c, err
		}
		park.SocketOf(c).Again(park.Readable) // the layer may have what the kernel no longer has
	}
	return c, by(t.kinds, c, &r.kind)
}

// by has the kind of a section adopt c.
func by(kinds []Kind, c *park.Conn, x *section) error {
	if x.kind >= len(kinds) {
		return fmt.Errorf("take-over: a connection of kind %d, of which there are %d", x.kind, len(kinds))
	}
	k := kinds[x.kind]
	if x.version > k.Version() {
		return fmt.Errorf("take-over: version %d of %q, of which %d is the last that is known", x.version, k.Name(), k.Version())
	}
	if err := k.Adopt(c, x.version, x.b); err != nil {
		return fmt.Errorf("take-over: %s: %w", k.Name(), err)
	}
	return nil
}

// Late takes connections and notes that come after the final word, until the old process has ended. The loops must run.
func (t *Taker) Late() error {
	defer t.close()
	for {
		m, err := t.receive(0)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err == nil {
			err = t.takeLate(&m)
		}
		if err != nil {
			return err
		}
	}
}

func (t *Taker) takeLate(m *message) error {
	switch m.kind {
	case msgData:
		return t.gather(m)
	case msgConns:
		return t.takeConns(m, t.adoptLate)
	case msgNote:
		return t.takeNote(m.body)
	}
	closeAll(m.descriptors)
	return m.unexpected()
}

// takeNote passes on a note, with the data that came before.
func (t *Taker) takeNote(body []byte) error {
	d := plainval.NewDecoder(body)
	name := d.String()
	if err := d.End(); err != nil {
		return err
	}
	if t.Note != nil {
		t.Note(name, t.records)
	}
	t.records = t.records[:0]
	return nil
}

// Conns returns how many connections have come so far.
func (t *Taker) Conns() int { return t.adopted }

// Close ends the connection to the old process.
func (t *Taker) Close() { t.close() }
