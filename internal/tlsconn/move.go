package tlsconn

import (
	"errors"
	"slices"

	"holdfast/internal/park"
	"holdfast/internal/plainval"
	"holdfast/internal/takeover"
	"holdfast/internal/tlsrecord"
)

// Layer returns the kind of layer that moves to another process: a session of TLS 1.3 in which neither side has ended. The
// tls.Conn of a connection with TLS 1.2 gives nothing away, so such a connection stays.
func (x *Server) Layer() takeover.Kind { return sessions{x} }

// sessions is the kind of layer of a Server's connections of TLS 1.3. Version 1 has: suite, what is received (secret and
// sequence number), what is sent (the same), whether a KeyUpdate is due, records without data, a part of a handshake
// message, bytes received, bytes decrypted, bytes to send.
type sessions struct{ x *Server }

// Name implements takeover.Kind.
func (sessions) Name() string { return "tls13" }

// Version implements takeover.Kind.
func (sessions) Version() uint16 { return 1 }

// layerOf returns the layer of c if it is of the kind.
func (k sessions) layerOf(c *park.Conn) (*conn, bool) {
	x, ok := c.Layer().(*conn)
	return x, ok && x.group.e == &k.x.engine
}

// sessionRecord is more than a record has beside what the connection keeps: secrets, numbers and lengths.
const sessionRecord = 256

// Export implements takeover.Kind.
func (k sessions) Export(c *park.Conn, b []byte) ([]byte, bool) {
	x, ok := k.layerOf(c)
	if !ok {
		return b, false
	}
	var buf buffers
	if x.buf != nil {
		buf = *x.buf
	}
	state, ok := x.State()
	if !ok || buf.err != nil || buf.shut {
		return b, false
	}
	room := sessionRecord + len(state.Partial) + len(buf.raw) + len(buf.plain) + len(buf.out)
	e := plainval.Encoder{B: slices.Grow(b, room)} // growing later would leave copies of the secrets
	e.Uint(uint64(state.Suite))
	e.Bytes(state.In.Secret)
	e.Uint(state.In.Sequence)
	e.Bytes(state.Out.Secret)
	e.Uint(state.Out.Sequence)
	e.Bool(state.Update)
	e.Uint(uint64(state.Useless))
	e.Bytes(state.Partial)
	e.Bytes(buf.raw)
	e.Bytes(buf.plain)
	e.Bytes(buf.out)
	state.Wipe()
	return e.B, true
}

// Adopt implements takeover.Kind.
func (k sessions) Adopt(c *park.Conn, version uint16, record []byte) error {
	if version != 1 {
		return errVersion
	}
	d := plainval.NewDecoder(record)
	var state tlsrecord.State
	state.Suite = uint16(d.Below(1 << 16))
	state.In.Secret = d.Bytes()
	state.In.Sequence = d.Uint()
	state.Out.Secret = d.Bytes()
	state.Out.Sequence = d.Uint()
	state.Update = d.Bool()
	state.Useless = uint8(d.Below(1 << 8))
	state.Partial = d.Bytes()
	raw, plain, out := d.Bytes(), d.Bytes(), d.Bytes()
	if err := d.End(); err != nil {
		return err
	}
	x := &conn{group: k.x.groups[c.Loop().Index]}
	if err := x.Restore(&state); err != nil {
		return err
	}
	if len(raw)+len(plain)+len(out) > 0 {
		b := x.buffers()
		b.raw, b.plain, b.out = copyOf(raw), copyOf(plain), copyOf(out)
	}
	k.x.open[tls13].Add(1)
	c.SetLayer(x)
	return nil
}

// Moved implements takeover.Kind.
func (k sessions) Moved(c *park.Conn) {
	x, _ := k.layerOf(c)
	x.group.remove(park.SocketOf(c), x)
	x.group.closed(tls13)
	x.Wipe()
	x.buf = nil
}

var errVersion = errors.New("tls: the record of a connection has an unknown version")

// copyOf returns a copy of b; nil if it is empty.
func copyOf(b []byte) []byte { return append([]byte(nil), b...) }

// Hellos returns the kind of connection whose handshake has not begun. next is the handler that gets it afterwards.
func (x *Server) Hellos(accept func(*park.Loop) park.Handler) takeover.Kind {
	return hellos{x, accept}
}

// hellos is the kind of connection that has not sent its first record. Version 1 is empty: what it has sent is in the
// kernel.
type hellos struct {
	x      *Server
	accept func(*park.Loop) park.Handler
}

// Name implements takeover.Kind.
func (hellos) Name() string { return "tls-hello" }

// Version implements takeover.Kind.
func (hellos) Version() uint16 { return 1 }

// Export implements takeover.Kind.
func (k hellos) Export(c *park.Conn, b []byte) ([]byte, bool) {
	h, ok := c.Handler().(*hello)
	return b, ok && h.x == k.x && c.Layer() == nil
}

// Adopt implements takeover.Kind.
func (k hellos) Adopt(c *park.Conn, version uint16, record []byte) error {
	if version != 1 {
		return errVersion
	}
	next := k.accept(c.Loop())
	c.Hold(&hello{x: k.x, next: next, timed: park.MovingOf(c).Deadline > 0})
	return plainval.NewDecoder(record).End()
}

// Moved implements takeover.Kind.
func (hellos) Moved(*park.Conn) {}
