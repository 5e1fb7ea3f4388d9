package proxy

import (
	"errors"
	"fmt"
	"time"

	"holdfast/internal/park"
)

// What keeps a request body for FastCGI from being collected whole.
var (
	errUploadMemory  = errors.New("request body larger than buffers.request, and buffers.temp_dir is none: FastCGI needs it whole")
	errUploadBuffers = errors.New("request body past buffers.total, and buffers.temp_dir is none: FastCGI needs it whole")
	errUploadFile    = errors.New("request body larger than buffers.temp_file_size: FastCGI needs it whole")
	errUploadTotal   = errors.New("request body past buffers.temp_total_size, the total of temporary files: FastCGI needs it whole")
	errUploadBroken  = errors.New("request body not written to buffers.temp_dir: FastCGI needs it whole")
)

// gathers reports whether a request body of that length (-1: not known) is collected before the app
// is asked, so that a slow uploader does not hold one of its threads.
func (p *Proxy) gathers(length int64) bool {
	if p.o.RequestBuffer <= 0 {
		return false
	}
	return length <= int64(p.o.RequestBuffer) && p.buffered.Load() <= p.o.BufferTotal || p.files.Fits(length)
}

// gather collects the request's body until it is complete or more than RequestBuffer.
func (x *exchange) gather() {
	in := x.f.loop.In()
	for {
		x.count()
		if x.upload.body.Done || x.collected() {
			if x.spillUpload() {
				return
			}
			x.client.conn.SetDeadline(0)
			if x.cgi != nil && !x.upload.body.Done {
				x.refuseUpload()
				return
			}
			if x.upload.file != nil { // what the file has comes first
				x.upload.tail, x.upload.gathered = x.upload.gathered, nil
			}
			if x.cgi != nil {
				x.beginCGI()
				return
			}
			if x.upload.body.Decode {
				x.frameUpload()
			}
			x.begin(x.app.head, x.upload.gathered)
			return
		}
		out, ok := x.readRequest(in)
		if !ok {
			return
		}
		x.upload.gathered = append(x.upload.gathered, in[:out]...)
	}
}

// collected reports whether memory has taken as much of the body as it may.
func (x *exchange) collected() bool {
	o := &x.f.p.o
	if x.cgi == nil {
		return len(x.upload.gathered) > o.RequestBuffer || x.f.p.buffered.Load() > o.BufferTotal
	}
	limit := o.RequestBuffer
	if limit <= 0 {
		limit = cgiBuffer
	}
	return len(x.upload.gathered) > limit || len(x.upload.gathered) > 0 && x.f.p.buffered.Load() > o.BufferTotal
}

// cgiBuffer is buffers.request for FastCGI where that is 0: its bodies are never streamed.
const cgiBuffer = 64 << 10

// readRequest reads body bytes of the client into in and checks them. It reports whether there were
// any; if not, the exchange waits for them or is over.
func (x *exchange) readRequest(in []byte) (n int, ok bool) {
	n, err := x.client.conn.Read(in)
	if err == park.ErrAgain {
		o := &x.f.p.o
		d, ok := x.upload.pace.wait(x.f.loop.Now(), x.upload.received, o.BodyTime, o.BodyRate)
		switch {
		case ok && x.client.out == nil:
			x.client.conn.SetDeadline(d)
		case ok:
		case x.client.begun:
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
	x.upload.pace.went(x.f.loop.Now())
	out, used, err := x.feedRequest(in[:n])
	if err != nil {
		x.badRequest(err)
		return 0, false
	}
	x.client.early = append(x.client.early, in[used:n]...)
	return out, true
}

// feedRequest checks body bytes of the client and counts them.
func (x *exchange) feedRequest(p []byte) (n, used int, err error) {
	n, used, err = x.upload.body.Feed(p)
	x.upload.received += int64(n)
	if max := x.f.p.o.BodyBytes; err == nil && max > 0 && x.upload.received > max {
		err = errTooLarge
	}
	return n, used, err
}

// frameUpload completes the head of a request that came in chunks. A body that is here whole is sent with its length,
// which is all that many apps read (WSGI has no other way); one that is still coming, in chunks of ours.
func (x *exchange) frameUpload() {
	b := x.app.head[:len(x.app.head)-2]
	if x.upload.body.Done {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", x.upload.received)
	} else {
		x.upload.chunked = true
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		x.upload.gathered = x.appendChunk(nil, x.upload.gathered)
	}
	x.app.head = append(b, "\r\n"...)
}

// appendChunk appends a piece of the request's body as a chunk, and the last chunk when it is the end.
func (x *exchange) appendChunk(b, p []byte) []byte {
	if len(p) > 0 {
		b = fmt.Appendf(b, "%x\r\n", len(p))
		b = append(append(b, p...), "\r\n"...)
	}
	if x.uploaded() {
		b = append(b, "0\r\n\r\n"...)
	}
	return b
}

// refuseUpload refuses a body that cannot be collected whole. A FastCGI responder is never sent one that may still be
// cut: php-fpm runs the script with what there is, whether the connection is closed, reset or the request aborted.
func (x *exchange) refuseUpload() {
	p := x.f.p
	status, after, err := 413, time.Duration(0), errUploadFile
	switch {
	case p.o.Folder == "" && p.buffered.Load() > p.o.BufferTotal:
		status, after, err = 503, time.Second, errUploadBuffers
	case p.o.Folder == "":
		err = errUploadMemory
	case x.upload.file.Broken():
		status, err = 503, errUploadBroken
	case p.files.Full():
		status, after, err = 503, time.Second, errUploadTotal
	}
	p.stats.refused.Add(1)
	x.f.logRefused(x.from, status, err.Error())
	x.finishAfter(status, after, err)
}

// sendHead sends the request's head and what is there of its body.
func (x *exchange) sendHead(head, body []byte) {
	x.app.conn.SetDeadline(x.f.p.o.UpstreamTime)
	if err := send(x.app.conn, &x.app.out, head, body); err != nil {
		x.upFailed(err)
		return
	}
	if !x.idempotent || !x.upload.body.Done {
		x.app.head, x.upload.gathered = x.app.head[:0], x.upload.gathered[:0] // never sent twice
		x.count()
	}
	x.pumpUp()
}

// pumpUp moves the request's body from the client to the upstream.
func (x *exchange) pumpUp() {
	in := x.f.loop.In()
	for turn := 0; ; turn++ {
		if x.app.out != nil {
			err := flush(x.app.conn, &x.app.out)
			if err == park.ErrAgain {
				return
			}
			if err != nil {
				x.upFailed(err)
				return
			}
			x.app.conn.SetDeadline(x.f.p.o.UpstreamTime)
		}
		if x.pumpFile() {
			return
		}
		if len(x.upload.tail) > 0 {
			b := x.upload.tail
			x.upload.tail = nil
			x.count()
			if !x.sendPiece(b) {
				return
			}
			continue
		}
		if x.upload.body.Done {
			switch {
			case x.client.gone:
				x.clientGone()
			case x.client.out == nil:
				x.client.conn.SetDeadline(0)
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
		if (out > 0 || x.upload.chunked && x.upload.body.Done) && !x.sendPiece(in[:out]) {
			return
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
	if x.client.begun {
		x.cut(err)
		return
	}
	x.finishWith(status, err)
}
