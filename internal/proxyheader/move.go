package proxyheader

import (
	"errors"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
)

// Waiting is the kind of connection whose PROXY header has not come. Version 1 of its record: whether its time runs, and
// what has come.
type Waiting struct {
	ID     string                        // one for each kind of listener
	Owns   func(Owner) bool              // whether a connection with this owner is of the kind
	Accept func(*park.Loop) park.Handler // makes the handler of a new connection of the kind
}

// Name implements takeover.Kind.
func (k *Waiting) Name() string { return k.ID }

// Version implements takeover.Kind.
func (*Waiting) Version() uint16 { return 1 }

// Export implements takeover.Kind.
func (k *Waiting) Export(c *park.Conn, b []byte) ([]byte, bool) {
	x, ok := c.Handler().(*Conn)
	if !ok || !k.Owns(x.Owner) {
		return b, false
	}
	e := plainval.Encoder{B: b}
	e.Bool(x.timed)
	e.Bytes(x.b)
	return e.B, true
}

var (
	errVersion = errors.New("the record of a connection without its PROXY header has an unknown version")
	errOff     = errors.New("a connection waits for its PROXY header, and proxy_protocol is off now: restart Holdfast instead")
)

// Adopt implements takeover.Kind.
func (k *Waiting) Adopt(c *park.Conn, version uint16, record []byte) error {
	if version != 1 {
		return errVersion
	}
	d := plainval.NewDecoder(record)
	timed, b := d.Bool(), d.Bytes()
	if err := d.End(); err != nil {
		return err
	}
	x, ok := k.Accept(c.Loop()).(*Conn)
	if !ok {
		return errOff
	}
	x.timed, x.b = timed, append([]byte(nil), b...)
	c.Hold(x)
	return nil
}

// Moved implements takeover.Kind.
func (*Waiting) Moved(*park.Conn) {}
