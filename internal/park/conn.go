package park

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
)

// Event says why a Handler is called; several can come at once.
type Event uint8

const (
	Readable Event = 1 << iota // bytes, or the end of the stream, can be read
	Writable                   // the socket accepts bytes again, or a Dial has its result
	HangUp                     // the peer closed its side or the connection broke; bytes may still wait
	Expired                    // the deadline has passed; it is cleared
	Broken                     // besides HangUp: nothing that is written reaches the peer any more
	Turn                       // alone: c was put off, and it is its turn now
)

// ErrAgain means that the call would block: try again after Handler.Ready.
var ErrAgain = errors.New("park: would block")

// ErrClosed is returned by operations on a connection that this process has closed.
var ErrClosed = errors.New("park: connection closed")

// Handler owns a connection. Ready is called for its events, on the connection's loop, and must not block.
type Handler interface {
	Ready(c *Conn, ev Event)
}

// Conn is one socket: a slot in the poller's table. The pointer is reused after Close, so keep a Ref if the connection
// may close meanwhile.
type Conn struct {
	fd  int32         // slot number; the descriptor on Linux
	gen atomic.Uint32 // odd while open; see doc.go

	owner   atomic.Pointer[Loop] // set by open
	handler Handler              // owned by the loop

	// Timing wheel: due is the deadline, and at the tick at which the slot is linked, never later than due.
	due, at    uint32
	prev, next int32

	addr [16]byte // peer address, IPv4 mapped into IPv6; zero for unix sockets
	port uint16

	state uint8 // connLinked, …

	sys sysConn
}

const (
	connLinked uint8 = 1 << iota // is in the wheel
	connClient                   // was accepted, not dialled
	connV4                       // addr is an IPv4 address
	connV6
	connCounted // in Poller.addresses
	connTLS     // see SetTLS
	connLayered // see SetLayer
	connMarked  // see Poller.Open
)

// Loop returns the loop that owns c. It may be called from any goroutine while c is open.
func (c *Conn) Loop() *Loop { return c.owner.Load() }

// Hold makes h the handler of c, until h passes it on or closes it. Hold does not check for bytes that already wait: a
// handler that may have missed an event must read once.
func (c *Conn) Hold(h Handler) { c.handler = h }

// Handler returns the handler of c.
func (c *Conn) Handler() Handler { return c.handler }

// SetDeadline requests an Expired event after d; with zero or less, none. It replaces an earlier deadline.
func (c *Conn) SetDeadline(d time.Duration) {
	if d <= 0 {
		c.due = 0
		return
	}
	l := c.Loop()
	l.wheel.set(c, l.due(d))
}

// RemoteAddr returns the peer's address; it is invalid for unix sockets.
func (c *Conn) RemoteAddr() netip.AddrPort {
	switch {
	case c.state&connV4 != 0:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(c.addr[12:])), c.port)
	case c.state&connV6 != 0:
		return netip.AddrPortFrom(netip.AddrFrom16(c.addr), c.port)
	}
	return netip.AddrPort{}
}

// SetRemoteAddr replaces the peer's address by that of its client, from a PROXY header. The connection no longer counts
// for the peer's address.
func (c *Conn) SetRemoteAddr(a netip.AddrPort) {
	c.uncount()
	c.setRemote(a)
}

// SetTLS notes whether the client uses TLS: on this connection or, as a PROXY header says, up to the peer.
func (c *Conn) SetTLS(on bool) {
	c.state &^= connTLS
	if on {
		c.state |= connTLS
	}
}

// TLS reports what SetTLS has noted.
func (c *Conn) TLS() bool { return c.state&connTLS != 0 }

// Marked reports whether c is marked, as Poller.Open says.
func Marked(c *Conn) bool { return c.state&connMarked != 0 }

// accepted is the state of an accepted connection, by whether it is marked.
var accepted = map[bool]uint8{false: connClient, true: connClient | connMarked}

func (c *Conn) setRemote(a netip.AddrPort) {
	c.state &^= connV4 | connV6
	c.port = a.Port()
	addr := a.Addr()
	switch {
	case addr.Is4() || addr.Is4In6():
		c.addr, c.state = addr.Unmap().As16(), c.state|connV4
	case addr.Is6():
		c.addr, c.state = addr.As16(), c.state|connV6
	}
}

// Read reads available bytes into p. It returns ErrAgain if there are none, and io.EOF at the end of the stream.
func (c *Conn) Read(p []byte) (int, error) {
	if c.state&connLayered != 0 {
		return layerOf(c).Read(Socket{c: c}, p)
	}
	return c.sysRead(p)
}

// Write writes as much of p as the kernel accepts. If n < len(p), it returns an error; after ErrAgain, write the rest
// after Writable.
func (c *Conn) Write(p []byte) (int, error) {
	if c.state&connLayered != 0 {
		return layerOf(c).Write(Socket{c: c}, p, nil)
	}
	return c.sysWrite(p)
}

// Writev is Write of a and then b, in one system call.
func (c *Conn) Writev(a, b []byte) (int, error) {
	if c.state&connLayered != 0 {
		return layerOf(c).Write(Socket{c: c}, a, b)
	}
	return c.sysWritev(a, b)
}

// Stale reports whether an idle connection has something to read: the end, an error or stray bytes.
// The bytes stay unread.
func (c *Conn) Stale() bool {
	if c.state&connLayered != 0 {
		var p [1]byte
		_, err := layerOf(c).Peek(Socket{c: c}, p[:])
		return err != ErrAgain
	}
	return c.sysStale()
}

// Unsent returns how many written bytes the peer has not acknowledged. With a slow peer this can be megabytes, for
// which the kernel sends no event.
func (c *Conn) Unsent() int {
	if c.state&connLayered != 0 {
		return layerOf(c).Unsent() + c.sysUnsent()
	}
	return c.sysUnsent()
}

// DialError returns nil after a connection made by Dial is established, ErrAgain before, and the error if it failed.
func (c *Conn) DialError() error {
	if c.state&connLayered != 0 {
		if x, ok := layerOf(c).(interface{ DialError() error }); ok {
			return x.DialError()
		}
	}
	return c.sysDialError()
}

// CloseWrite ends the sending side of the stream; reading continues.
func (c *Conn) CloseWrite() error {
	if c.state&connLayered != 0 {
		return layerOf(c).CloseWrite(Socket{c: c})
	}
	return c.sysCloseWrite()
}

// Close closes c; bytes that were written are still sent.
func (c *Conn) Close() { c.close(false) }

// Abort closes c with a reset, so that the peer does not take what it has received for a complete message.
func (c *Conn) Abort() { c.close(true) }

// publish makes a closed slot an open connection of l and returns its generation. From then on the loop owns the slot.
// A client's connection was counted before, and its close reduces the count.
func (c *Conn) publish(l *Loop, h Handler, sys sysConn, remote netip.AddrPort, state uint8) uint32 {
	gen := c.gen.Load() + 1 // the load orders the following after the last owner's close
	c.handler, c.sys = h, sys
	c.due, c.state = 0, state
	c.setRemote(remote)
	c.owner.Store(l)
	c.gen.Store(gen)
	return gen
}

func (c *Conn) close(reset bool) {
	if c.gen.Load()&1 == 0 {
		return
	}
	if s, ok := c.handler.(*Stream); ok && !c.Loop().stopped {
		s.abandon()
		return
	}
	if c.state&connLayered != 0 && closeLayer(c, reset) {
		return
	}
	free(c, reset)
}

// free closes the descriptor and frees the slot.
func free(c *Conn, reset bool) {
	l := c.Loop()
	l.wheel.unlink(c)
	if c.state&connClient != 0 {
		l.poller.clients.Add(-1)
	}
	c.uncount()
	c.due, c.handler, c.state = 0, nil, 0
	// Another goroutine may reopen the slot as soon as the descriptor is free, so the generation changes first, and
	// sysClose is the last to use the slot.
	n := c.fd
	c.sysClose(reset)
	l.poller.slots.release(n)
}

func (c *Conn) uncount() {
	if c.state&connCounted != 0 {
		c.state &^= connCounted
		c.Loop().poller.addresses.leave(c.RemoteAddr().Addr())
	}
}

// Ref refers to a connection from any goroutine. It stays valid, and harmless, after the connection has closed and the
// slot is reused.
type Ref struct {
	c   *Conn
	gen uint32
}

// Ref returns a reference to c as it is now.
func (c *Conn) Ref() Ref { return Ref{c, c.gen.Load()} }

// Conn returns the connection if it is still open. Only its loop may call it.
func (r Ref) Conn() (*Conn, bool) {
	if r.c == nil || r.c.gen.Load() != r.gen {
		return nil, false
	}
	return r.c, true
}

// Post runs f with the connection on loop l, its own, unless it has closed by then.
func (r Ref) Post(l *Loop, f func(c *Conn)) {
	l.Post(func() {
		if c, ok := r.Conn(); ok {
			f(c)
		}
	})
}

// Number returns a pair that no other connection of this process has, before or later.
func (r Ref) Number() (slot int32, gen uint32) { return r.c.fd, r.gen }
