package proxy

import (
	"bytes"
	"time"

	"holdfast/internal/park"
)

// keepExchange is how much buffer an exchange may keep for its next use.
const keepExchange = 128 << 10

// clientGone ends the exchange because the client did.
func (x *exchange) clientGone() {
	if x.up != nil && x.connected && x.req.Done && (!x.uploaded() || x.toUp != nil) {
		// The request is whole, and a part of it is with the app, that may take a part for the whole: PHP does.
		if !x.left {
			x.left = true
			x.client.SetDeadline(0)
			drop(&x.toClient)
			x.count()
			x.later(x.pumpUp)
		}
		return
	}
	x.f.p.stats.clientGone.Add(1)
	if !x.answered {
		x.status = statusGone
	}
	x.log("client left")
	c := x.client
	x.release()
	c.Close()
}

// fail ends the exchange because of the upstream. A response that has begun is cut, never finished and
// never followed by a page.
func (x *exchange) fail(status int, err error) {
	x.f.p.stats.upstreamErrors.Add(1)
	if x.server != nil && !x.answered {
		x.f.p.failed(x.server, x.f.loop.Now())
	}
	x.f.p.o.Log.Error("upstream failed", "upstream", x.upstreamName(), "status", status, "error", err,
		"begun", x.begun, "reused", x.reused, "after", x.f.loop.Now().Sub(x.started).Round(time.Millisecond))
	if x.begun || x.toClient != nil {
		x.cut(err)
		return
	}
	x.finishWith(status, err)
}

// cut resets the client's connection: a plain end could be taken for the whole.
func (x *exchange) cut(why error) {
	x.f.p.stats.cut.Add(1)
	c := x.client
	if x.toClient != nil {
		flush(c, &x.toClient)
	}
	x.log(why.Error())
	x.release()
	c.Abort()
}

// finishWith answers with a page of our own, because of why.
func (x *exchange) finishWith(status int, why error) { x.finishAfter(status, 0, why) }

// finishAfter is finishWith and says when to come again.
func (x *exchange) finishAfter(status int, after time.Duration, why error) {
	x.finishFields(status, after, nil, why)
}

// finishFields is finishAfter with further field lines.
func (x *exchange) finishFields(status int, after time.Duration, fields []byte, why error) {
	x.status = status
	if x.toClient != nil { // an interim response that the client does not even take
		x.cut(why)
		return
	}
	c, keep := x.client, x.keep && x.req.Done
	answer := page(status, after, !keep, !x.isHead, fields...)
	n, _ := c.Write(answer)
	x.passed, x.heads = int64(len(answer)), int64(bytes.Index(answer, []byte("\r\n\r\n"))+4)
	x.log(why.Error())
	early, touched, f := x.early, x.touched, x.f
	x.release()
	if n < len(answer) { // the client does not read: it must not take what comes next for this
		f.p.stats.cut.Add(1)
		c.Abort()
		return
	}
	if keep {
		f.resume(c, early, touched)
		return
	}
	park.Linger(c)
}

// finish gives the client's connection back after a complete response.
func (x *exchange) finish() {
	x.log("")
	c, f, keep, reqDone := x.client, x.f, x.keep, x.req.Done
	early, touched := x.early, x.touched
	x.release()
	switch {
	case keep:
		f.resume(c, early, touched)
	case reqDone && len(early) == 0 && !touched:
		c.Close()
	default:
		park.Linger(c)
	}
}

// release lets go of everything but the client's connection.
func (x *exchange) release() {
	x.client.SetDeadline(0)
	if x.up != nil {
		if x.connected && (!x.uploaded() || x.toUp != nil) {
			x.up.Abort() // the app must not take a part of the body for the whole
		} else {
			x.up.Close()
		}
	}
	x.letGo()
	x.dequeue()
	x.cgi.drop()
	x.cgi = nil
	drop(&x.toUp)
	drop(&x.toClient)
	x.body.Close()
	x.back.Close()
	x.body, x.back, x.tail, x.backBuf = nil, nil, nil, nil
	x.gathered = x.gathered[:0]
	x.count()
	x.f.p.inFlight.Add(-1)
	f := x.f
	x.client, x.up, x.kept = nil, nil, nil
	if len(f.free) < 64 && cap(x.early)+cap(x.gathered)+cap(x.head)+cap(x.answerHead)+cap(x.original) <= keepExchange {
		f.free = append(f.free, x)
	}
}
