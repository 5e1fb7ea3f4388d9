package proxy

import (
	"errors"
	"io"
	"time"

	"holdfast/internal/fcgi"
	"holdfast/internal/http1"
	"holdfast/internal/park"
)

// pumpDown moves the response from the upstream to the client.
func (x *exchange) pumpDown() {
	in := x.f.loop.In()
	if x.f.p.buffered.Load() > x.f.p.o.BufferTotal {
		in = in[:smallReading] // many clients are slow, and each may keep one reading
	}
	for turn := 0; ; turn++ {
		if x.full() && (x.toClient != nil && !x.flushClient() || x.full() && (x.back != nil || !x.spillDown())) {
			return
		}
		if turn == maxTurns {
			x.later(x.pumpDown)
			return
		}
		in := in
		if x.toClient != nil && x.back == nil { // what is read is kept, so read no more than there is room for
			in = in[:min(len(in), max(x.f.p.o.ResponseBuffer-x.toClient.len(), smallReading))]
		}
		n, err := x.up.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			x.upEnded(err)
			return
		}
		x.up.SetDeadline(x.f.p.o.UpstreamTime)
		if !x.respond(in[:n]) {
			return
		}
		if n < len(in) && !x.upHung {
			return // what was there has been read; the next bytes, and the end, bring an event
		}
	}
}

// respond takes bytes of the upstream. It reports whether more are wanted.
func (x *exchange) respond(p []byte) bool {
	if x.cgi != nil {
		return x.respondCGI(p)
	}
	if x.answered {
		return x.respondBody(nil, p)
	}
	if len(x.answerHead) > 0 {
		seen := len(x.answerHead)
		x.answerHead = append(x.answerHead, p...)
		return x.respondHead(x.answerHead, seen)
	}
	return x.respondHead(p, 0)
}

// respondHead looks for a complete head in p.
func (x *exchange) respondHead(p []byte, seen int) bool {
	for {
		n, err := fcgi.HeadEnd(p, seen)
		switch {
		case err != nil:
			x.fail(502, errHeadSize)
			return false
		case n == 0:
			if len(p) > 0 && (len(x.answerHead) == 0 || &x.answerHead[0] != &p[0]) {
				x.answerHead = append(x.answerHead[:0], p...)
			}
			return true
		}
		a := &x.f.ans
		if err := a.parse(p[:n]); err != nil {
			x.fail(502, err)
			return false
		}
		x.noticeAll(a.odd)
		rest := p[n:]
		if a.status == 101 {
			return x.switchProtocols(a, rest)
		}
		if a.status >= 200 {
			return x.answer(a, rest)
		}
		if x.interim++; x.interim > maxInterim {
			x.fail(502, bad("too many interim responses"))
			return false
		}
		if a.status != 100 && !x.http10 && x.toClient == nil { // 100 was answered here; hints are nothing to wait for
			b := append(appendAnswer(x.f.loop.Out()[:0], a), "\r\n"...)
			x.passed += int64(len(b))
			x.heads += int64(len(b))
			if err := send(x.client, &x.toClient, b, nil); err != nil {
				x.clientGone()
				return false
			}
		}
		p, seen = append([]byte(nil), rest...), 0
		x.answerHead = x.answerHead[:0]
		if len(p) == 0 {
			return true
		}
	}
}

// answer sends the final response's head, with what is there of the body.
func (x *exchange) answer(a *answer, rest []byte) bool {
	x.upKeep = !a.close
	x.tellSessions(a)
	x.connLogin = x.connLogin || a.connLogin
	if a.elsewhere != nil && x.f.p.internal {
		return x.elsewhere(a, len(rest) == 0 && (x.isHead || a.length == 0 || a.status == 204))
	}
	switch {
	case x.isHead || a.status == 204 || a.status == 304:
		x.resp = http1.Body{Done: true}
	case a.chunked:
		x.resp = http1.Body{Framing: http1.ByChunks, Trailers: true, Decode: x.http10}
	case a.length >= 0:
		x.resp = http1.LengthBody(a.length)
	default:
		x.resp = http1.Body{Framing: http1.ByClose}
		x.upKeep = false
	}
	if x.http10 {
		for i := range a.fields {
			if n := a.fields[i].name; http1.EqualFold(n, "transfer-encoding") || http1.EqualFold(n, "trailer") {
				a.fields[i].drop = true
			}
		}
	}
	b := x.answerHeadFor(a, x.resp.Framing != http1.ByClose && !x.resp.Decode)
	return x.respondBody(append(b, "\r\n"...), rest)
}

// answerHeadFor renders the response's head but for the empty line. framed says that its end can be told
// without closing the connection.
func (x *exchange) answerHeadFor(a *answer, framed bool) []byte {
	x.answered = true
	x.status = a.status
	x.server.answered()
	x.unbuffered = a.stream
	if a.accel && !x.trusted {
		for i := range a.fields {
			if _, ok := http1.CutPrefixFold(a.fields[i].name, "x-accel-"); ok {
				a.fields[i].drop = true
			}
		}
	}
	if x.route.rewrites {
		x.rewrite(a)
	}
	x.kept.override(a)
	if !framed || !x.req.Done || x.f.p.draining.Load() {
		x.keep = false
	}
	x.head, x.gathered = x.head[:0], x.gathered[:0] // too late to try again
	return x.appendConnection(x.kept.append(x.appendTicket(appendAnswer(x.f.loop.Out()[:0], a))))
}

// appendConnection says whether the connection goes on.
func (x *exchange) appendConnection(b []byte) []byte {
	switch {
	case !x.keep:
		return append(b, "Connection: close\r\n"...)
	case x.http10:
		return append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// respondBody sends head, if any, and body bytes to the client.
func (x *exchange) respondBody(head, p []byte) bool {
	n, used, err := x.resp.Feed(p)
	if err == nil && used < len(p) { // stray bytes: the response stands, the connection does not
		x.upKeep = false
	}
	x.heads += int64(len(head))
	if len(head)+n > 0 && !x.pass(head, p[:n]) {
		return false
	}
	if err != nil {
		x.fail(502, err)
		return false
	}
	if x.resp.Done {
		x.responded()
		return false
	}
	return true
}

// pass sends a and b to the client, or keeps them for it. It reports whether the exchange goes on.
func (x *exchange) pass(a, b []byte) bool {
	x.begun = true
	x.passed += int64(len(a) + len(b))
	if x.back != nil {
		x.putBack(a, b)
		return true
	}
	if err := send(x.client, &x.toClient, a, b); err != nil {
		x.clientGone()
		return false
	}
	return x.toClient == nil || x.awaitClient()
}

// responded lets the upstream go; the client's part goes on until it has everything.
func (x *exchange) responded() {
	x.upstream = x.f.loop.Now().Sub(x.asked)
	if x.upKeep && !x.upHung && x.uploaded() && x.toUp == nil {
		x.giveBack()
	} else {
		x.up.Close()
	}
	x.up = nil
	x.name = x.server.String()
	x.letGo()
	if x.toClient == nil && x.back == nil {
		x.finish()
	}
}

// full reports whether the client must take something before more is read from the upstream.
func (x *exchange) full() bool {
	if x.back != nil {
		return x.backFull()
	}
	if x.toClient == nil {
		return false
	}
	o := &x.f.p.o
	return x.unbuffered || x.toClient.len() >= o.ResponseBuffer || x.f.p.buffered.Load() > o.BufferTotal
}

// flushClient writes what is pending. It reports whether the exchange goes on.
func (x *exchange) flushClient() bool {
	err := flush(x.client, &x.toClient)
	x.count()
	switch {
	case err == park.ErrAgain:
		return x.awaitClient()
	case err != nil:
		x.clientGone()
		return false
	}
	x.client.SetDeadline(0)
	if !x.req.Done && x.toUp == nil { // from here on it is the body that is waited for
		d, _ := x.upload.wait(x.f.loop.Now(), x.received, x.f.p.o.BodyTime, x.f.p.o.BodyRate)
		x.client.SetDeadline(max(d, time.Millisecond))
	}
	if x.back != nil {
		return x.drainBack()
	}
	if x.answered && x.resp.Done && x.up == nil {
		x.finish()
		return false
	}
	return true
}

// awaitClient sets the clock for a client that has something to take. It reports false when the client
// has been too slow already.
func (x *exchange) awaitClient() bool {
	x.count()
	o := &x.f.p.o
	if o.SendRate > 0 {
		x.clientTook()
	}
	d, ok := x.download.wait(x.f.loop.Now(), x.taken, o.SendTime, o.SendRate)
	if !ok {
		x.cut(errTooSlow)
		return false
	}
	x.client.SetDeadline(d)
	return true
}

// clientTook looks at how much the client has really taken, and reports whether that is more than before.
// The kernel says that it has room again only when a third of its buffer is free, and that can be
// megabytes: many minutes for a client that does read, but slowly.
func (x *exchange) clientTook() bool {
	before := x.taken
	x.taken = x.passed - x.waiting() - int64(x.client.Unsent())
	return x.taken > before
}

// count keeps Proxy.buffered true.
func (x *exchange) count() {
	if n := x.toClient.len() + len(x.gathered) + len(x.tail) + len(x.backBuf); n != x.ahead {
		x.f.p.buffered.Add(int64(n - x.ahead))
		x.ahead = n
	}
}

// upEnded settles the end of the upstream's side.
func (x *exchange) upEnded(err error) {
	if x.answered && x.resp.Framing == http1.ByClose && errors.Is(err, io.EOF) {
		x.resp.Done = true
		x.responded()
		return
	}
	if errors.Is(err, io.EOF) {
		err = errEarlyEnd
	}
	x.upFailed(err)
}

// upFailed tries again if that is safe, and fails otherwise.
func (x *exchange) upFailed(err error) {
	if x.toUp != nil || !x.uploaded() {
		// The app may have answered before it closed on a body that it does not want: read that first.
		if !x.answered && x.salvage() {
			return
		}
	}
	if x.reused && !x.retried && !x.answered && !x.begun && len(x.answerHead) == 0 && x.idempotent && x.req.Done && len(x.head) > 0 {
		x.f.p.stats.retries.Add(1)
		x.retried = true
		x.up.Close()
		drop(&x.toUp)
		x.dial()
		return
	}
	x.fail(502, err)
}

// salvage reads a response that came although the request could not be sent. It reports whether one
// has begun.
func (x *exchange) salvage() bool {
	drop(&x.toUp)
	n, err := x.up.Read(x.f.loop.In())
	if err != nil || n == 0 {
		return false
	}
	x.upKeep = false
	if x.respond(x.f.loop.In()[:n]) && x.up != nil {
		x.pumpDown()
	}
	return true
}
