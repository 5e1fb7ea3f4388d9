package proxy

import (
	"sync"
	"time"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/metric"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/throttle"
)

// Front is the handler of client connections that wait for a request, one per loop: a connection under
// it has no buffer and no struct of its own.
type Front struct {
	p     *Proxy
	loop  *park.Loop
	pools []*balance.Pool // by the index of the upstream
	bound balance.Bound
	head  http1.Head      // of the request that is being looked at
	req   request.Request // the same
	date  http1.Date
	ans   http1.Answer // of the response that is being looked at
	free  []*exchange

	lastID    uint16 // of a FastCGI request
	refused   throttle.PerSecond
	responses metric.Statuses
	durations metric.Durations // of exchanges
}

// Ready reads what came. A hang-up or a spurious wake-up is settled here and costs nothing else.
func (f *Front) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		c.Close()
		return
	}
	if ev&park.Readable == 0 {
		if c.Handler() == park.Handler(f) && ev&park.Writable != 0 {
			f.firstDeadline(c)
		}
		return
	}
	f.read(c, ev&park.HangUp != 0)
}

// firstDeadline starts the clock of a connection that has not sent anything: its first event is that
// it can be written to.
func (f *Front) firstDeadline(c *park.Conn) { c.SetDeadline(f.p.o.HeaderTime) }

// read takes what is there. hung says that the peer has ended its side: that is not told again, so
// whoever comes to read next must look.
func (f *Front) read(c *park.Conn, hung bool) {
	in := f.loop.In()
	n, err := c.Read(in)
	switch {
	case err == park.ErrAgain:
		return
	case err != nil:
		c.Close()
		return
	}
	f.take(c, in[:n], hung || n == len(in))
}

// take looks at bytes that begin a request. more says that further bytes may wait in the kernel.
func (f *Front) take(c *park.Conn, b []byte, more bool) {
	n, r := http1.HeadEnd(b, 0)
	switch {
	case r != nil:
		f.refuse(c, r, b)
	case n == 0:
		x := partialPool.Get().(*partial)
		x.f = f
		x.b = append(x.b[:0], b...)
		c.Hold(x)
		c.SetDeadline(f.p.o.HeaderTime)
		if !x.grow(c, 0) && more {
			x.Ready(c, park.Readable)
		}
	default:
		f.request(c, b[:n], b[n:], more)
	}
}

// request has a complete head and what follows it.
func (f *Front) request(c *park.Conn, b, rest []byte, more bool) {
	if len(b) > f.p.o.HeaderBytes {
		f.refuse(c, http1.TooLarge(b, f.p.o.HeaderBytes), b)
		return
	}
	h := &f.head
	if r := h.Parse(b, http1.Limits{Bytes: f.p.o.HeaderBytes, Fields: f.p.o.HeaderFields, Ascii: f.p.o.ASCIITargets}); r != nil {
		f.refuse(c, r, b)
		return
	}
	q := f.readRequest(c, h)
	q.Rest = rest
	if max := f.p.o.BodyBytes; max > 0 && h.Length > max {
		f.refuseClient(c, q.Client, http1.Refuse(413, "request body too large"), b)
		return
	}
	if r := f.limit(q); r != nil {
		f.refuseClient(c, q.Client, r, b)
		return
	}
	route := f.p.insecure(h, q)
	if route == nil {
		if f.p.o.Local != nil && f.p.o.Local.Owns(h.Path) {
			f.p.o.Local.Serve(c, q)
			return
		}
		var r *http1.Refusal
		if route, r = f.p.find(h.Path); r == nil && route.Internal {
			r = http1.Refuse(404, "route that is internal")
		}
		if r != nil {
			f.refuseClient(c, q.Client, r, b)
			return
		}
	}
	f.p.stats.requests.Add(1)
	f.forward(c, route, h, q, rest, more)
}

// readRequest reads who sent a request that was checked, and how. The result is valid as long as the head, and until
// the next is read.
func (f *Front) readRequest(c *park.Conn, h *http1.Head) *request.Request {
	f.p.reader.Read(&f.req, c.RemoteAddr(), c.TLS(), h.Host, &h.Forwarding)
	f.req.Head, f.req.Body = h.Raw, h.Chunked || h.Length > 0
	return &f.req
}

// HeaderRead implements proxyheader.Owner.
func (f *Front) HeaderRead(c *park.Conn, rest []byte) {
	c.SetDeadline(f.p.o.HeaderTime)
	c.Hold(f)
	if len(rest) > 0 {
		f.take(c, rest, true)
	} else {
		f.read(c, true)
	}
}

// HeaderRefused implements proxyheader.Owner. It says nothing to the peer, who did not begin to speak HTTP.
func (f *Front) HeaderRefused(c *park.Conn, err error) {
	f.p.stats.refused.Add(1)
	f.p.o.Log.Warn("connection refused", "reason", err, "client", c.RemoteAddr())
	c.Abort()
}

// limit refuses a request that comes too soon or is one too many.
func (f *Front) limit(q *request.Request) *http1.Refusal {
	p := f.p
	if p.rate != nil {
		if wait, ok := p.rate.Admit(q.Client.Addr(), f.loop.Now()); !ok {
			p.stats.rateLimited.Add(1)
			return &http1.Refusal{Status: 429, Reason: "more requests than limits.requests_per_second allows", After: wait}
		}
	}
	if p.o.MaxRequests > 0 && p.inFlight.Load() >= int64(p.o.MaxRequests) {
		p.stats.overloaded.Add(1)
		return &http1.Refusal{Status: 503, Reason: "more requests in flight than limits.max_requests_in_flight", After: time.Second}
	}
	return nil
}

// resume parks c until its next request, or begins on the bytes that came already. more says that
// further bytes may wait in the kernel whose event was not acted on.
func (f *Front) resume(c *park.Conn, rest []byte, more bool) {
	if f.p.draining.Load() && len(rest) == 0 {
		c.Close()
		return
	}
	c.Hold(f)
	c.SetDeadline(f.p.o.IdleTime)
	if len(rest) > 0 {
		rest = append([]byte(nil), rest...)
	}
	if len(rest) == 0 && !more {
		return
	}
	// Not at once: a client that pipelines must not take the loop, nor the stack, for itself. Until then
	// nobody may read: what comes next stands behind rest.
	f.loop.PutOff(c, func(c *park.Conn) {
		c.Hold(f)
		if len(rest) > 0 {
			f.take(c, rest, true)
		} else {
			f.read(c, true)
		}
	})
}

var partialPool = sync.Pool{New: func() any { return new(partial) }}

// partial is a connection in the middle of a request's head.
type partial struct {
	f *Front
	b []byte
}

func (x *partial) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		x.f.refuse(c, http1.Refuse(408, "request head not complete in time"), x.b)
		x.release()
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	in := x.f.loop.In()
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
	f := x.f
	n, r := http1.HeadEnd(x.b, seen)
	if r == nil && n == 0 && len(x.b) > f.p.o.HeaderBytes {
		r = http1.TooLarge(x.b, f.p.o.HeaderBytes)
	}
	switch {
	case r != nil:
		f.refuse(c, r, x.b)
		x.release()
	case n > 0:
		b := x.b
		x.b = nil // the head is read from it while others may take x
		x.release()
		f.request(c, b[:n], b[n:], true)
	default:
		return false
	}
	return true
}

func (x *partial) release() {
	x.f = nil
	if cap(x.b) > 64<<10 {
		x.b = nil
	}
	partialPool.Put(x)
}
