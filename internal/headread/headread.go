// Package headread has client connections until the head of their next request is complete. One that waits costs its slot
// with the poller: no buffer, and no struct of its own. One whose head came in part has a buffer.
package headread

import (
	"sync"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/park"
)

// Owner serves the requests of connections whose heads are read. Its methods run on the connection's loop.
type Owner interface {
	// HeadRead takes c, with a complete head that nobody has looked at, and the bytes behind it. Both are valid during the
	// call only. More may wait, of which no event tells.
	HeadRead(c *park.Conn, head, rest []byte, more bool)

	// HeadRefused answers a request whose head cannot be read, and closes c. b begins with what there is of the head.
	HeadRefused(c *park.Conn, r *http1.Refusal, b []byte)
}

// Reader is the handler of the connections of one loop that wait for a request.
type Reader struct {
	Owner     Owner
	Loop      *park.Loop
	FirstTime time.Duration // in which the first request's head must be complete, and any whose head has begun
	IdleTime  time.Duration // between two requests
	MaxBytes  int           // of a head
}

// Ready reads what came. A hang-up or a spurious wake-up is settled here and costs nothing else.
func (r *Reader) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		c.Close()
		return
	}
	if ev&park.Readable == 0 {
		if c.Handler() == park.Handler(r) && ev&park.Writable != 0 {
			c.SetDeadline(r.FirstTime) // a connection's first event is that it can be written to
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

// Resume takes a connection for its next request, or begins on the bytes that came already. more says that further bytes
// may wait in the kernel whose event was not acted on.
func (r *Reader) Resume(c *park.Conn, rest []byte, more bool) {
	c.Hold(r)
	c.SetDeadline(r.IdleTime)
	if len(rest) > 0 {
		rest = append([]byte(nil), rest...)
	}
	if len(rest) == 0 && !more {
		return
	}
	// Not at once: a client that pipelines must not take the loop, nor the stack, for itself. Until then
	// nobody may read: what comes next stands behind rest.
	r.Loop.PutOff(c, func(c *park.Conn) {
		c.Hold(r)
		r.goOn(c, rest)
	})
}

// goOn reads on behind rest.
func (r *Reader) goOn(c *park.Conn, rest []byte) {
	if len(rest) > 0 {
		r.take(c, rest, true)
	} else {
		r.read(c, true)
	}
}

// read takes what is there. hung says that the peer has ended its side: that is not told again, so
// whoever comes to read next must look.
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

// take looks at bytes that begin a request. more says that further bytes may wait in the kernel.
func (r *Reader) take(c *park.Conn, b []byte, more bool) {
	n, refusal := http1.HeadEnd(b, 0)
	switch {
	case refusal != nil:
		r.Owner.HeadRefused(c, refusal, b)
	case n == 0:
		x := partialPool.Get().(*partial)
		x.r = r
		x.b = append(x.b[:0], b...)
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
	case *Reader:
	case *partial:
		h.release()
	default:
		return false
	}
	c.Close()
	return true
}

var partialPool = sync.Pool{New: func() any { return new(partial) }}

// partial is the handler of a connection in the middle of a request's head.
type partial struct {
	r *Reader
	b []byte
}

// Ready implements park.Handler.
func (x *partial) Ready(c *park.Conn, ev park.Event) {
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

// grow looks at the bytes from offset seen on. It reports whether the connection has gone on.
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
		x.b = nil // the head is read from it while others may take x
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
