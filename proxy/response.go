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
		if x.full() && (x.client.out != nil && !x.flushClient() || x.full() && (x.client.file != nil || !x.spillDown())) {
			return
		}
		if turn == maxTurns {
			x.later(x.pumpDown)
			return
		}
		in := in
		if x.client.out != nil && x.client.file == nil { // what is read is kept, so read no more than there is room for
			in = in[:min(len(in), max(x.f.p.o.ResponseBuffer-x.client.out.len(), smallReading))]
		}
		n, err := x.app.conn.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			x.upEnded(err)
			return
		}
		x.app.conn.SetDeadline(x.f.p.o.UpstreamTime)
		if !x.respond(in[:n]) {
			return
		}
		if n < len(in) && !x.app.hung {
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
	if len(x.app.partialHead) > 0 {
		seen := len(x.app.partialHead)
		x.app.partialHead = append(x.app.partialHead, p...)
		return x.respondHead(x.app.partialHead, seen)
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
			if len(p) > 0 && (len(x.app.partialHead) == 0 || &x.app.partialHead[0] != &p[0]) {
				x.app.partialHead = append(x.app.partialHead[:0], p...)
			}
			return true
		}
		a := &x.f.ans
		if err := a.Parse(p[:n]); err != nil {
			x.fail(502, err)
			return false
		}
		x.noticeAll(a.Odd)
		rest := p[n:]
		if a.Status == 101 {
			return x.switchProtocols(a, rest)
		}
		if a.Status >= 200 {
			return x.answer(a, rest)
		}
		if x.app.interim++; x.app.interim > maxInterim {
			x.fail(502, http1.Malformed("too many interim responses"))
			return false
		}
		if a.Status != 100 && !x.client.http10 && x.client.out == nil { // 100 was answered here; hints are nothing to wait for
			b := append(appendAnswer(x.f.loop.Out()[:0], a), "\r\n"...)
			x.client.passed += int64(len(b))
			x.client.heads += int64(len(b))
			if err := send(x.client.conn, &x.client.out, b, nil); err != nil {
				x.clientGone()
				return false
			}
		}
		p, seen = append([]byte(nil), rest...), 0
		x.app.partialHead = x.app.partialHead[:0]
		if len(p) == 0 {
			return true
		}
	}
}

// answer sends the final response's head, with what is there of the body.
func (x *exchange) answer(a *http1.Answer, rest []byte) bool {
	x.app.keep = !a.Close
	x.tellSessions(a)
	x.app.connLogin = x.app.connLogin || a.ConnLogin
	if a.Redirect != nil && x.f.p.internal {
		return x.elsewhere(a, len(rest) == 0 && (x.isHead || a.Length == 0 || a.Status == 204))
	}
	switch {
	case x.isHead || a.Status == 204 || a.Status == 304:
		x.resp = http1.Body{Done: true}
	case a.Chunked:
		x.resp = http1.Body{Framing: http1.ByChunks, Trailers: true, Decode: x.client.http10}
	case a.Length >= 0:
		x.resp = http1.LengthBody(a.Length)
	default:
		x.resp = http1.Body{Framing: http1.ByClose}
		x.app.keep = false
	}
	if x.client.http10 {
		for i := range a.Fields {
			if n := a.Fields[i].Name; http1.EqualFold(n, "transfer-encoding") || http1.EqualFold(n, "trailer") {
				a.Fields[i].Drop = true
			}
		}
	}
	b := x.answerHeadFor(a, x.resp.Framing != http1.ByClose && !x.resp.Decode)
	return x.respondBody(append(b, "\r\n"...), rest)
}

// answerHeadFor renders the response's head but for the empty line. framed says that its end can be told
// without closing the connection.
func (x *exchange) answerHeadFor(a *http1.Answer, framed bool) []byte {
	x.answered = true
	x.log.status = a.Status
	x.app.server.answered()
	x.client.unbuffered = a.Stream
	if a.Accel && !x.trusted {
		for i := range a.Fields {
			if _, ok := http1.CutPrefixFold(a.Fields[i].Name, "x-accel-"); ok {
				a.Fields[i].Drop = true
			}
		}
	}
	if x.route.rewrites {
		x.route.paths.Rewrite(a, x.host)
	}
	x.accel.preserved.override(a)
	if !framed || !x.upload.body.Done || x.f.p.draining.Load() {
		x.client.keep = false
	}
	x.app.head, x.upload.gathered = x.app.head[:0], x.upload.gathered[:0] // too late to try again
	return x.appendConnection(x.accel.preserved.append(x.appendTicket(appendAnswer(x.f.loop.Out()[:0], a))))
}

// appendConnection says whether the connection goes on.
func (x *exchange) appendConnection(b []byte) []byte {
	switch {
	case !x.client.keep:
		return append(b, "Connection: close\r\n"...)
	case x.client.http10:
		return append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// respondBody sends head, if any, and body bytes to the client.
func (x *exchange) respondBody(head, p []byte) bool {
	n, used, err := x.resp.Feed(p)
	if err == nil && used < len(p) { // stray bytes: the response stands, the connection does not
		x.app.keep = false
	}
	x.client.heads += int64(len(head))
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
	x.client.begun = true
	x.client.passed += int64(len(a) + len(b))
	if x.client.file != nil {
		x.putBack(a, b)
		return true
	}
	if err := send(x.client.conn, &x.client.out, a, b); err != nil {
		x.clientGone()
		return false
	}
	return x.client.out == nil || x.awaitClient()
}

// responded lets the upstream go; the client's part goes on until it has everything.
func (x *exchange) responded() {
	x.app.took = x.f.loop.Now().Sub(x.app.asked)
	if x.app.keep && !x.app.hung && x.uploaded() && x.app.out == nil {
		x.giveBack()
	} else {
		x.app.conn.Close()
	}
	x.app.conn = nil
	x.app.name = x.app.server.String()
	x.letGo()
	if x.client.out == nil && x.client.file == nil {
		x.finish()
	}
}

// full reports whether the client must take something before more is read from the upstream.
func (x *exchange) full() bool {
	if x.client.file != nil {
		return x.backFull()
	}
	if x.client.out == nil {
		return false
	}
	o := &x.f.p.o
	return x.client.unbuffered || x.client.out.len() >= o.ResponseBuffer || x.f.p.buffered.Load() > o.BufferTotal
}

// flushClient writes what is pending. It reports whether the exchange goes on.
func (x *exchange) flushClient() bool {
	err := flush(x.client.conn, &x.client.out)
	x.count()
	switch {
	case err == park.ErrAgain:
		return x.awaitClient()
	case err != nil:
		x.clientGone()
		return false
	}
	x.client.conn.SetDeadline(0)
	if !x.upload.body.Done && x.app.out == nil { // from here on it is the body that is waited for
		d, _ := x.upload.pace.wait(x.f.loop.Now(), x.upload.received, x.f.p.o.BodyTime, x.f.p.o.BodyRate)
		x.client.conn.SetDeadline(max(d, time.Millisecond))
	}
	if x.client.file != nil {
		return x.drainBack()
	}
	if x.answered && x.resp.Done && x.app.conn == nil {
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
	d, ok := x.client.pace.wait(x.f.loop.Now(), x.client.taken, o.SendTime, o.SendRate)
	if !ok {
		x.cut(errTooSlow)
		return false
	}
	x.client.conn.SetDeadline(d)
	return true
}

// clientTook looks at how much the client has really taken, and reports whether that is more than before.
// The kernel says that it has room again only when a third of its buffer is free, and that can be
// megabytes: many minutes for a client that does read, but slowly.
func (x *exchange) clientTook() bool {
	before := x.client.taken
	x.client.taken = x.client.passed - x.waiting() - int64(x.client.conn.Unsent())
	return x.client.taken > before
}

// count keeps Proxy.buffered true.
func (x *exchange) count() {
	if n := x.client.out.len() + len(x.upload.gathered) + len(x.upload.tail) + len(x.client.fileTail); n != x.ahead {
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
	if x.app.out != nil || !x.uploaded() {
		// The app may have answered before it closed on a body that it does not want: read that first.
		if !x.answered && x.salvage() {
			return
		}
	}
	if x.app.reused && !x.app.retried && !x.answered && !x.client.begun && len(x.app.partialHead) == 0 && x.idempotent && x.upload.body.Done && len(x.app.head) > 0 {
		x.f.p.stats.retries.Add(1)
		x.app.retried = true
		x.app.conn.Close()
		drop(&x.app.out)
		x.dial()
		return
	}
	x.fail(502, err)
}

// salvage reads a response that came although the request could not be sent. It reports whether one
// has begun.
func (x *exchange) salvage() bool {
	drop(&x.app.out)
	n, err := x.app.conn.Read(x.f.loop.In())
	if err != nil || n == 0 {
		return false
	}
	x.app.keep = false
	if x.respond(x.f.loop.In()[:n]) && x.app.conn != nil {
		x.pumpDown()
	}
	return true
}
