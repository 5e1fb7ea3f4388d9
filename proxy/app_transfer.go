package proxy

import (
	"errors"
	"io"

	"holdfast/internal/park"
	"holdfast/internal/sendbuf"
)

// sendHead sends the request's head and the part of its body received so far.
func (a *appLeg) sendHead(head, body []byte) {
	a.conn.SetDeadline(a.x.route.UpstreamTime)
	if err := sendbuf.Send(a.conn, &a.out, head, body); err != nil {
		a.failed(err)
		return
	}
	if !a.x.idempotent || !a.x.upload.body.Done {
		a.head, a.x.upload.gathered = a.head[:0], a.x.upload.gathered[:0] // they are not needed for a retry
		a.x.count()
	}
	a.pumpUp()
}

// pumpUp moves the request's body from the client to the upstream.
func (a *appLeg) pumpUp() {
	if a.conn == nil { // this call was postponed, and the connection has closed since
		return
	}
	in := a.x.f.loop.In()
	for turn := 0; ; turn++ {
		if a.out != nil {
			err := sendbuf.Flush(a.conn, &a.out)
			if err == park.ErrAgain {
				return
			}
			if err != nil {
				a.failed(err)
				return
			}
			a.conn.SetDeadline(a.x.route.UpstreamTime)
		}
		if a.pumpFile() {
			return
		}
		if len(a.x.upload.tail) > 0 {
			b := a.x.upload.tail
			a.x.upload.tail = nil
			a.x.count()
			if !a.sendPiece(b) {
				return
			}
			continue
		}
		if a.x.upload.body.Done {
			switch {
			case a.x.client.gone:
				a.x.clientGone()
			case a.x.client.out == nil:
				a.x.client.conn.SetDeadline(0)
			}
			return
		}
		if turn == maxTurns {
			a.x.later(a.pumpUp)
			return
		}
		out, ok := a.x.upload.read(in)
		if !ok {
			return
		}
		if (out > 0 || a.x.upload.chunked && a.x.upload.body.Done) && !a.sendPiece(in[:out]) {
			return
		}
	}
}

// pumpDown moves the response from the upstream to the client.
func (a *appLeg) pumpDown() {
	if a.conn == nil { // this call was postponed, and the connection has closed since
		return
	}
	in := a.x.f.loop.In()
	in = in[:len(in)-len("\r\n")] // room for the CRLF that ends a chunk
	if a.x.p.buffered.Load() > a.x.p.o.BufferTotal {
		in = in[:smallReading] // buffers.total is used up: each slow client may still buffer this much
	}
	for turn := 0; a.x.client.rest == nil && !a.x.coder.Full(); turn++ {
		if a.x.client.full() && (a.x.client.out != nil && !a.x.client.flush() || a.x.client.full() && (a.x.client.file != nil || !a.x.client.useFile())) {
			return
		}
		if turn == maxTurns {
			a.x.later(a.pumpDown)
			return
		}
		in := in
		if a.x.client.out != nil && a.x.client.file == nil { // what is read is buffered, so read no more than fits
			in = in[:min(len(in), max(a.x.route.ResponseBuffer-a.x.client.out.Len(), smallReading))]
		}
		n, err := a.conn.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			a.ended(err)
			return
		}
		a.conn.SetDeadline(a.x.route.UpstreamTime)
		if !a.source.receive(in[:n]) {
			return
		}
		if n < len(in) && !a.hung {
			return // everything was read; more bytes, or the end, cause an event
		}
	}
}

// responded releases the upstream. The exchange continues until the client has the whole response.
func (a *appLeg) responded() {
	a.took = a.x.f.loop.Now().Sub(a.asked)
	a.leave(true)
	a.x.complete()
}

// ended handles the end of the upstream's side: it completes the response, or fails.
func (a *appLeg) ended(err error) {
	if a.x.answered && a.source.endsAtClose() && errors.Is(err, io.EOF) {
		if a.x.client.passBody(nil, nil, true, nil) {
			a.responded()
		}
		return
	}
	if errors.Is(err, io.EOF) {
		err = errEarlyEnd
	}
	a.failed(err)
}

// failed retries if that is safe, and otherwise ends the exchange.
func (a *appLeg) failed(err error) {
	if a.out != nil || !a.x.upload.passedOn() || !a.reused || !a.repeatable() {
		// The app may have responded and closed before it read the whole body: read that response first.
		if !a.x.answered && a.salvage() {
			return
		}
	}
	if a.reused && !a.retried && len(a.partialHead) == 0 && a.repeatable() {
		a.x.p.stats.Retries.Add(1)
		a.retried = true
		a.conn.Close()
		sendbuf.Drop(&a.out)
		a.dial()
		return
	}
	a.unanswered(502, err, a.x.p.o.NextError)
}

// repeatable reports whether the request may be sent once more: the client has no byte of a response, and the request
// is stored completely.
func (a *appLeg) repeatable() bool {
	return !a.x.answered && !a.x.client.begun && !a.x.client.gone && a.interim == 0 && a.x.idempotent && a.x.upload.body.Done && len(a.head) > 0
}

// unanswered sends the request to the next server if next is true, and otherwise fails.
func (a *appLeg) unanswered(status int, err error, next bool) {
	if !next || !a.repeatable() {
		a.x.fail(status, err)
		return
	}
	a.next(status, err, "upstream did not respond; trying the next")
}

// salvage reads a response that arrived although the request was not sent completely. It reports whether one has begun.
func (a *appLeg) salvage() bool {
	sendbuf.Drop(&a.out)
	n, err := a.conn.Read(a.x.f.loop.In())
	if err != nil || n == 0 {
		return false
	}
	a.hung = true // the upstream accepts no more bytes
	if a.source.receive(a.x.f.loop.In()[:n]) && a.conn != nil {
		a.pumpDown()
	}
	return true
}

// pumpFile sends the body from its temporary file. It reports whether there was something to send.
func (a *appLeg) pumpFile() bool {
	s := a.x.upload.file
	if s.Len() == 0 && !s.Reading() {
		return false
	}
	if s.Reading() {
		return true
	}
	s.Read(func(b []byte, err error) {
		if a.conn == nil { // the app has responded already
			return
		}
		if err != nil {
			a.x.finishWith(500, errTempFile)
			return
		}
		if !a.sendPiece(b) {
			return
		}
		if a.out == nil {
			a.pumpUp()
		}
	})
	return true
}

// sendPiece sends bytes of the body to the upstream. It reports whether the exchange continues.
func (a *appLeg) sendPiece(b []byte) bool {
	if err := sendbuf.Send(a.conn, &a.out, a.source.frame(b), nil); err != nil {
		a.failed(err)
		return false
	}
	a.conn.SetDeadline(a.x.route.UpstreamTime)
	return true
}
