package park

import "net/netip"

// Layer is a protocol between the handler of a connection and its socket, such as TLS. Conn.Read, Write and the like
// go through it. Its methods run on the connection's loop or, while a Stream has the connection, on that one's worker.
type Layer interface {
	// Read is Conn.Read. If n < len(p), nothing was left to read.
	Read(s Socket, p []byte) (int, error)

	// Write is Conn.Writev. What it accepted and the socket did not, it keeps until Flush.
	Write(s Socket, a, b []byte) (int, error)

	// Flush writes what Write kept. It returns ErrAgain if some of that is left. It is called at each Writable.
	Flush(s Socket) error

	// Unsent returns how many bytes are left for Flush.
	Unsent() int

	// Peek is Conn.Peek. It may take a record of which it returns a part from the socket, for the next Read.
	Peek(s Socket, p []byte) (int, error)

	// CloseWrite is Conn.CloseWrite.
	CloseWrite(s Socket) error

	// Lend is called on the loop before a worker gets the connection, and with false after that has returned it.
	Lend(s Socket, lent bool)

	// Close is called once, before the socket is closed or, with reset, aborted. It returns what the socket has still to
	// send, which is the poller's from then on.
	Close(s Socket, reset bool) (unsent []byte)
}

// Socket is a connection without its Layer.
type Socket struct {
	c    *Conn
	lent *Stream // that a worker has; nil on the loop
}

// SocketOf returns that of c, for its loop.
func SocketOf(c *Conn) Socket { return Socket{c: c} }

// Read is Conn.Read of the socket's own bytes.
func (s Socket) Read(p []byte) (int, error) { return s.c.sysRead(p) }

// Write is Conn.Write of the socket's own bytes.
func (s Socket) Write(p []byte) (int, error) { return s.c.sysWrite(p) }

// CloseWrite ends the socket's sending side.
func (s Socket) CloseWrite() error { return s.c.sysCloseWrite() }

// RemoteAddr is Conn.RemoteAddr, also on a worker.
func (s Socket) RemoteAddr() netip.AddrPort {
	if s.lent != nil {
		return s.lent.remote
	}
	return s.c.RemoteAddr()
}

// OnWorker reports whether the caller runs on a worker, and not on the loop.
func (s Socket) OnWorker() bool { return s.lent != nil }

// Slot returns the number of the connection's slot.
func (s Socket) Slot() int { return int(s.c.fd) }

// Again has the loop call the connection's handler with ev soon: bytes, or the end, are in the layer, and the kernel
// has no event for them.
func (s Socket) Again(ev Event) {
	l := s.c.Loop()
	s.c.Ref().Post(l, func(c *Conn) { l.dispatch(c, ev) })
}

// SetLayer puts x between the handler and the socket, until the connection closes.
func (c *Conn) SetLayer(x Layer) {
	c.Loop().poller.slots.setLayer(c.fd, x)
	c.state |= connLayered
}

// Layer returns the connection's layer; nil without one.
func (c *Conn) Layer() Layer {
	if c.state&connLayered == 0 {
		return nil
	}
	return layerOf(c)
}

// layerOf returns the layer of a connection that has one.
func layerOf(c *Conn) Layer { return c.Loop().poller.slots.layer(c.fd) }

// flushLayer has the layer write what the kernel has refused. A Stream does that when its worker waits, and at its end.
func flushLayer(c *Conn) {
	if _, lent := c.handler.(*Stream); !lent {
		_ = layerOf(c).Flush(Socket{c: c}) // an error is also an event, or the next Write's
	}
}

// closeLayer ends the layer. It reports whether the connection stays, without its owner, to send the rest.
func closeLayer(c *Conn, reset bool) bool {
	l, x := c.Loop(), layerOf(c)
	l.poller.slots.setLayer(c.fd, nil)
	c.state &^= connLayered
	rest := x.Close(Socket{c: c}, reset)
	return len(rest) > 0 && !reset && !l.stopped && sendRest(c, rest)
}

// Peek copies received bytes into p that Read has not returned, and leaves them. It returns ErrAgain if there are none,
// and io.EOF at the end. The kernel need not have another event for them.
func (c *Conn) Peek(p []byte) (int, error) {
	if c.state&connLayered != 0 {
		return layerOf(c).Peek(Socket{c: c}, p)
	}
	return peek(c, p)
}

// Received returns how many bytes were received and not read yet.
func (c *Conn) Received() int { return received(c) }
