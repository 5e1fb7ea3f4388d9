// Package headread has client connections until the head of their next request is complete. A waiting connection costs
// its slot in the poller: no buffer, and no struct of its own. One with an incomplete head has a buffer.
package headread

import (
	"sync"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/park"
)

// Owner serves the requests of connections whose heads are read. Its methods run on the connection's loop.
type Owner interface {
	// HeadRead takes over c, with a complete head that was not parsed yet, and the bytes after it. Both are valid
	// during the call only. more means that further bytes may wait for which no event follows.
	HeadRead(c *park.Conn, head, rest []byte, more bool)

	// HeadRefused responds to a request whose head is refused, and closes c. b begins with the received part of the
	// head.
	HeadRefused(c *park.Conn, r *http1.Refusal, b []byte)
}

// Reader is the handler of the connections of one loop that wait for a request.
type Reader struct {
	Owner     Owner
	Loop      *park.Loop
	FirstTime time.Duration // limit for the first head, and for each head after its first byte
	IdleTime  time.Duration // between two requests
	MaxBytes  int           // of a head

	// Pass gives a connection that comes to rest to another process, which has the listeners now, and reports whether
	// that has taken it; nil: there is none.
	Pass func(*park.Conn) bool
}

// Ready reads what the client has sent. A hang-up or a spurious wake-up is handled here and costs nothing else.
func (r *Reader) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		c.Close()
		return
	}
	if ev&park.Readable == 0 {
		if c.Handler() == park.Handler(r) && ev&park.Writable != 0 {
			c.SetDeadline(r.FirstTime) // a connection's first event is Writable
		}
		return
	}
	r.read(c, ev&park.HangUp != 0)
}

// Begin takes a connection that has not sent a request. rest are bytes that were read already; more may wait.
func (r *Reader) Begin(c *park.Conn, rest []byte) {
	c.SetDeadline(r.FirstTime)
	c.Hold(r)
	r.goOn(c, rest)
}

// Resume takes a connection for its next request, or begins with the bytes that are here already. more means that
// further bytes may wait in the kernel for which no event follows.
func (r *Reader) Resume(c *park.Conn, rest []byte, more bool) {
	c.Hold(r)
	c.SetDeadline(r.IdleTime)
	if r.Pass != nil {
		r.leave(c, rest)
		return
	}
	if len(rest) == 0 && !more {
		return
	}
	// Not at once: a client that pipelines must not keep the loop to itself, nor deepen the stack. Until then nothing
	// may read from c, as those bytes follow rest.
	x := takePartial(r, rest)
	x.off = true
	r.Loop.PutOff(c, x)
}

// leave passes a connection to the other process. One that cannot move is closed, unless it has sent more.
func (r *Reader) leave(c *park.Conn, rest []byte) {
	x := takePartial(r, rest)
	x.off = true
	r.Loop.PutOff(c, x)
	if !r.Pass(c) && len(rest) == 0 && !c.Stale() {
		x.release()
		c.Close()
	}
}

// goOn handles rest, and then reads on.
func (r *Reader) goOn(c *park.Conn, rest []byte) {
	if len(rest) > 0 {
		r.take(c, rest, true)
	} else {
		r.read(c, true)
	}
}

// read reads what is available. hung means that the peer has ended its side. That event is not repeated, so the next
// handler that reads must check for the end.
func (r *Reader) read(c *park.Conn, hung bool) {
	in := r.Loop.In()
	n, err := c.Read(in)
	switch {
	case err == park.ErrAgain:
		return
	case err != nil:
		c.Close()
		return
	}
	r.take(c, in[:n], hung || n == len(in))
}

// take handles bytes that begin a request. more means that further bytes may wait in the kernel.
func (r *Reader) take(c *park.Conn, b []byte, more bool) {
	n, refusal := http1.HeadEnd(b, 0)
	switch {
	case refusal != nil:
		r.Owner.HeadRefused(c, refusal, b)
	case n == 0:
		x := takePartial(r, b)
		c.Hold(x)
		c.SetDeadline(r.FirstTime)
		if !x.grow(c, 0) && more {
			x.Ready(c, park.Readable)
		}
	default:
		r.complete(c, b[:n], b[n:], more)
	}
}

// complete passes a complete head on.
func (r *Reader) complete(c *park.Conn, head, rest []byte, more bool) {
	if len(head) > r.MaxBytes {
		r.Owner.HeadRefused(c, http1.TooLarge(head, r.MaxBytes), head)
		return
	}
	r.Owner.HeadRead(c, head, rest, more)
}

// Close closes c if it waits for a request, and reports whether it did.
func Close(c *park.Conn) bool {
	switch h := c.Handler().(type) {
	case *Reader, *adopted:
	case *partial:
		if h.off {
			return false
		}
		h.release()
	default:
		return false
	}
	c.Close()
	return true
}

var partialPool = sync.Pool{New: func() any { return new(partial) }}

// partial is the handler of a connection in the middle of a request's head, or of one that was put off with the bytes
// of its next request.
type partial struct {
	r   *Reader
	b   []byte
	off bool
}

// takePartial returns one with a copy of b.
func takePartial(r *Reader, b []byte) *partial {
	x := partialPool.Get().(*partial)
	x.r, x.b, x.off = r, append(x.b[:0], b...), false
	return x
}

// Ready implements park.Handler.
func (x *partial) Ready(c *park.Conn, ev park.Event) {
	if x.off {
		x.putOff(c, ev)
		return
	}
	if ev&park.Expired != 0 {
		x.r.Owner.HeadRefused(c, http1.Refuse(408, "request head not complete in time"), x.b)
		x.release()
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	in := x.r.Loop.In()
	for {
		n, err := c.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			x.release()
			c.Close()
			return
		}
		seen := len(x.b)
		x.b = append(x.b, in[:n]...)
		if x.grow(c, seen) {
			return
		}
	}
}

// putOff is Ready of a connection that was put off: until its turn, received bytes wait.
func (x *partial) putOff(c *park.Conn, ev park.Event) {
	switch {
	case ev&park.Turn != 0:
		c.Hold(x.r)
		x.r.goOn(c, x.b)
	case ev&park.Expired != 0:
		c.Close()
	default:
		return
	}
	x.release()
}

// grow handles the bytes from offset seen on. It reports whether the connection was passed on.
func (x *partial) grow(c *park.Conn, seen int) bool {
	r := x.r
	n, refusal := http1.HeadEnd(x.b, seen)
	if refusal == nil && n == 0 && len(x.b) > r.MaxBytes {
		refusal = http1.TooLarge(x.b, r.MaxBytes)
	}
	switch {
	case refusal != nil:
		r.Owner.HeadRefused(c, refusal, x.b)
		x.release()
	case n > 0:
		b := x.b
		x.b = nil // the head is still parsed from it, and x may be reused meanwhile
		x.release()
		r.complete(c, b[:n], b[n:], true)
	default:
		return false
	}
	return true
}

func (x *partial) release() {
	x.r = nil
	if cap(x.b) > 64<<10 {
		x.b = nil
	}
	partialPool.Put(x)
}
