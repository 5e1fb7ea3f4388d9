package proxy

import (
	"errors"

	"holdfast/internal/park"
)

// gathers reports whether a request body of that length (-1: not known) is collected before the app
// is asked, so that a slow uploader does not hold one of its threads.
func (p *Proxy) gathers(length int64) bool {
	if p.o.RequestBuffer <= 0 {
		return false
	}
	return length <= int64(p.o.RequestBuffer) && p.buffered.Load() <= p.o.BufferTotal || length <= p.o.FileBytes && p.maySpill()
}

// gather collects the request's body until it is complete or more than RequestBuffer.
func (x *exchange) gather() {
	in := x.f.loop.In()
	for {
		x.count()
		if o := &x.f.p.o; x.req.done || len(x.gathered) > o.RequestBuffer || x.f.p.buffered.Load() > o.BufferTotal {
			if x.spillUpload() {
				return
			}
			x.client.SetDeadline(0)
			if x.body != nil { // what the file has comes first
				x.tail, x.gathered = x.gathered, nil
			}
			switch {
			case x.cgi == nil:
				x.begin(x.head, x.gathered)
			case x.req.decode && !x.req.done:
				x.finishWith(411, errNoLength)
			default:
				x.beginCGI()
			}
			return
		}
		out, ok := x.readRequest(in)
		if !ok {
			return
		}
		x.gathered = append(x.gathered, in[:out]...)
	}
}

// readRequest reads body bytes of the client into in and checks them. It reports whether there were
// any; if not, the exchange waits for them or is over.
func (x *exchange) readRequest(in []byte) (n int, ok bool) {
	n, err := x.client.Read(in)
	if err == park.ErrAgain {
		o := &x.f.p.o
		d, ok := x.upload.wait(x.f.loop.Now(), x.received, o.BodyTime, o.BodyRate)
		switch {
		case ok && x.toClient == nil:
			x.client.SetDeadline(d)
		case ok:
		case x.begun:
			x.cut(errTooSlow)
		default:
			x.finishWith(408, errTooSlow)
		}
		return 0, false
	}
	if err != nil {
		x.clientGone()
		return 0, false
	}
	x.upload.went(x.f.loop.Now())
	out, used, err := x.feedRequest(in[:n])
	if err != nil {
		x.badRequest(err)
		return 0, false
	}
	x.early = append(x.early, in[used:n]...)
	return out, true
}

// feedRequest checks body bytes of the client and counts them.
func (x *exchange) feedRequest(p []byte) (n, used int, err error) {
	n, used, err = x.req.feed(p)
	x.received += int64(n)
	if max := x.f.p.o.BodyBytes; err == nil && max > 0 && x.received > max {
		err = errTooLarge
	}
	return n, used, err
}

// sendHead sends the request's head and what is there of its body.
func (x *exchange) sendHead(head, body []byte) {
	x.up.SetDeadline(x.f.p.o.UpstreamTime)
	if err := send(x.up, &x.toUp, head, body); err != nil {
		x.upFailed(err)
		return
	}
	if !x.idempotent || !x.req.done {
		x.head, x.gathered = x.head[:0], x.gathered[:0] // never sent twice
		x.count()
	}
	x.pumpUp()
}

// pumpUp moves the request's body from the client to the upstream.
func (x *exchange) pumpUp() {
	in := x.f.loop.In()
	for turn := 0; ; turn++ {
		if x.toUp != nil {
			err := flush(x.up, &x.toUp)
			if err == park.ErrAgain {
				return
			}
			if err != nil {
				x.upFailed(err)
				return
			}
			x.up.SetDeadline(x.f.p.o.UpstreamTime)
		}
		if x.pumpFile() {
			return
		}
		if len(x.tail) > 0 {
			b := x.tail
			x.tail = nil
			x.count()
			if !x.sendPiece(b) {
				return
			}
			continue
		}
		if x.req.done {
			if x.toClient == nil {
				x.client.SetDeadline(0)
			}
			return
		}
		if turn == maxTurns {
			x.later(x.pumpUp)
			return
		}
		out, ok := x.readRequest(in)
		if !ok {
			return
		}
		if out > 0 {
			if !x.sendPiece(in[:out]) {
				return
			}
		}
	}
}

// badRequest answers a body that is not what its head says, or too large. The upstream must not take
// what it has for a whole request.
func (x *exchange) badRequest(err error) {
	x.f.p.stats.refused.Add(1)
	status := 400
	if errors.Is(err, errTooLarge) {
		status = 413
	}
	x.f.logRefused(x.from, status, err.Error())
	if x.begun {
		x.cut(err)
		return
	}
	x.finishWith(status, err)
}
