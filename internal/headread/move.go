package headread

import (
	"errors"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// Idle is the kind of connection that waits for a request, with what has come of that. A request that is held counts as one
// that has come: the other process makes it anew.
//
// Version 1 of its record: whether the request may be complete, and the bytes.
type Idle struct {
	Reader func(*park.Loop) *Reader

	// Held returns the bytes of a request that is held, and Dropped forgets it; nil: none are.
	Held    func(park.Handler) (head, body []byte, ok bool)
	Dropped func(park.Handler)
}

// Name implements takeover.Kind.
func (*Idle) Name() string { return "idle" }

// Version implements takeover.Kind.
func (*Idle) Version() uint16 { return 1 }

// Export implements takeover.Kind.
func (k *Idle) Export(c *park.Conn, b []byte) ([]byte, bool) {
	e := plainval.Encoder{B: b}
	switch h := c.Handler().(type) {
	case *Reader, *adopted:
		e.Bool(false)
		e.Bytes(nil)
	case *partial:
		e.Bool(h.off)
		e.Bytes(h.b)
	default:
		if k.Held == nil {
			return b, false
		}
		head, body, ok := k.Held(h)
		if !ok {
			return b, false
		}
		e.Bool(true)
		e.Uint(uint64(len(head) + len(body)))
		e.B = append(append(e.B, head...), body...)
	}
	return e.B, true
}

var errVersion = errors.New("the record of a connection that waits has an unknown version")

// Adopt implements takeover.Kind.
func (k *Idle) Adopt(c *park.Conn, version uint16, record []byte) error {
	if version != 1 {
		return errVersion
	}
	d := plainval.NewDecoder(record)
	off, b := d.Bool(), d.Bytes()
	if err := d.End(); err != nil {
		return err
	}
	r := k.Reader(c.Loop())
	switch {
	case off:
		x := takePartial(r, b)
		x.off = true
		r.Loop.PutOff(c, x)
	case len(b) > 0:
		c.Hold(takePartial(r, b))
	case park.MovingOf(c).Deadline == 0 && r.IdleTime > 0: // it is so new that it has none yet
		c.Hold(r)
	default:
		c.Hold(&adopted{r})
	}
	return nil
}

// Moved implements takeover.Kind.
func (k *Idle) Moved(c *park.Conn) {
	switch h := c.Handler().(type) {
	case *Reader, *adopted:
	case *partial:
		h.release()
	default:
		k.Dropped(h)
	}
}

// adopted is the handler of a connection that waits, until its first event: that is no sign of a new connection here, and
// leaves the deadline as it is.
type adopted struct{ r *Reader }

// Ready implements park.Handler.
func (x *adopted) Ready(c *park.Conn, ev park.Event) {
	c.Hold(x.r)
	if ev &^= park.Writable; ev != 0 {
		x.r.Ready(c, ev)
	}
}
