package proxy

import (
	"errors"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/rate"
	"holdfast/internal/tempfile"
)

// upload is the request's body on its way to the upstream.
type upload struct {
	x        *exchange
	body     http1.Body
	received int64          // bytes from the client
	ended    time.Time      // when the last byte arrived; zero before
	pace     rate.Minimum   // of the client's sending
	gathered []byte         // bytes to send with the head
	file     *tempfile.File // of a body beyond buffers.request; nil without a file
	tail     []byte         // bytes after the file's
	chunked  bool           // the upstream gets chunks: the length was not known when the head was sent
}

// gathers reports whether a request body of that length (-1: unknown) is collected before the request is sent to the
// app, so that a slow upload does not occupy one of its threads.
func (u *upload) gathers(length int64) bool {
	p, most := u.x.f.p, u.x.route.RequestBuffer
	return most > 0 && (length <= int64(most) && p.buffered.Load() <= p.o.BufferTotal || p.files.Fits(length))
}

// collect gathers the request's body until it is complete or more than RequestBuffer.
func (u *upload) collect() {
	in := u.x.f.loop.In()
	for {
		u.x.count()
		if u.body.Done || u.atLimit() {
			if u.useFile() {
				return
			}
			u.x.client.conn.SetDeadline(0)
			if !u.body.Done && u.x.app.source.needsWhole() {
				u.refuse()
			} else {
				u.x.app.source.collected()
			}
			return
		}
		out, ok := u.read(in)
		if !ok {
			return
		}
		u.gathered = append(u.gathered, in[:out]...)
	}
}

// refuse refuses a request whose body can't be collected. The app never gets a body that may still be cut off: PHP runs
// the script with the part it has, in php-fpm and in Apache, after a close or a reset, and with any framing.
func (u *upload) refuse() {
	p := u.x.f.p
	status, after, err := p.files.Refusal(u.file, p.buffered.Load() > p.o.BufferTotal)
	p.stats.Refused.Add(1)
	u.x.f.logRefused(u.x.client.from, status, err.Error()+": the app needs it whole (see buffers.stream_uploads)")
	u.x.finishAfter(status, after, err)
}

// wholeBuffer replaces a buffers.request of 0 for bodies that are never streamed.
const wholeBuffer = 64 << 10

// atLimit reports whether the body may take no more memory.
func (u *upload) atLimit() bool {
	o, limit := u.x.p.o, u.x.route.RequestBuffer
	if !u.x.app.source.needsWhole() {
		return len(u.gathered) > limit || u.x.p.buffered.Load() > o.BufferTotal
	}
	if limit <= 0 {
		limit = wholeBuffer
	}
	return len(u.gathered) > limit || len(u.gathered) > 0 && u.x.p.buffered.Load() > o.BufferTotal
}

// read reads body bytes of the client into in and checks them. It reports whether there were
// any; if not, the exchange waits for them or is over.
func (u *upload) read(in []byte) (n int, ok bool) {
	n, err := u.x.client.conn.Read(in)
	if err == park.ErrAgain {
		d, ok := u.pace.Wait(u.x.f.loop.Now(), u.received, u.x.route.BodyTime, u.x.route.BodyRate)
		switch {
		case ok && u.x.client.out == nil:
			u.x.client.conn.SetDeadline(d)
		case ok:
		default:
			u.x.finishWith(408, errTooSlow)
		}
		return 0, false
	}
	if err != nil {
		u.x.clientGone()
		return 0, false
	}
	u.pace.EndWait(u.x.f.loop.Now())
	out, used, err := u.feed(in[:n])
	if err != nil {
		u.x.badRequest(err)
		return 0, false
	}
	u.x.client.early = append(u.x.client.early, in[used:n]...)
	return out, true
}

// feed checks body bytes of the client and counts them.
func (u *upload) feed(p []byte) (n, used int, err error) {
	n, used, err = u.body.Feed(p)
	u.received += int64(n)
	if u.body.Done {
		u.ended = u.x.f.loop.Now()
	}
	if max := u.x.route.BodyBytes; err == nil && max > 0 && u.received > max {
		err = errTooLarge
	}
	return n, used, err
}

// useFile moves the part of the request's body received so far into a temporary file, so that the body can be
// collected. It reports false if the body is to be streamed instead.
func (u *upload) useFile() bool {
	if u.file == nil {
		length := int64(-1)
		if u.body.Framing == http1.ByLength {
			length = u.body.Left() + int64(len(u.gathered))
		}
		if u.body.Done || len(u.gathered) == 0 || !u.x.p.files.Fits(length) {
			return false
		}
		u.file = u.x.p.files.New(u.x.f.loop, u.x.run)
		u.x.idempotent = false // a body in a file is sent once only
	}
	s := u.file
	if s.Broken() || !u.body.Done && !s.TakesMore() || len(u.gathered) == 0 {
		return false
	}
	b := u.gathered
	u.gathered = nil
	u.x.client.conn.SetDeadline(0)
	u.x.count()
	s.Write(b, func(err error) {
		if err != nil { // it stays in memory, to follow the file's bytes
			u.gathered = append(b, u.gathered...)
		}
		u.collect()
	})
	return true
}

// passedOn reports whether the request's body is complete and was sent to the app.
func (u *upload) passedOn() bool {
	return u.body.Done && len(u.tail) == 0 && u.file.Len() == 0
}

// badRequest responds to a body that is malformed or too large. The upstream must not process the part that it has as a
// complete request.
func (x *exchange) badRequest(err error) {
	x.p.stats.Refused.Add(1)
	status := 400
	if errors.Is(err, errTooLarge) {
		status = 413
	}
	x.f.logRefused(x.client.from, status, err.Error())
	x.upload.body.Done = false // the app's request is incomplete, too; and as bytes behind the body are lost, the connection ends
	x.finishWith(status, err)
}
