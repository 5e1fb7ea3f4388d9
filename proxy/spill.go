package proxy

import (
	"errors"

	"holdfast/internal/http1"
)

// errTempFile is the reason in the log of a response that ended because of its temporary file.
var errTempFile = errors.New("a temporary file could not be read (buffers.temp_dir)")

// spillUpload puts what was gathered of the request's body into a file, so that the app is asked when all is there. It
// reports false if the body is to be streamed on instead.
func (x *exchange) spillUpload() bool {
	if x.body == nil {
		length := int64(-1)
		if x.req.Framing == http1.ByLength {
			length = x.req.Left() + int64(len(x.gathered))
		}
		if x.req.Done || len(x.gathered) == 0 || !x.f.p.files.Fits(length) {
			return false
		}
		x.body = x.f.p.files.New(x.f.loop)
		x.idempotent = false // not sent twice
	}
	s := x.body
	if s.Broken() || !x.req.Done && !s.TakesMore() || len(x.gathered) == 0 {
		return false
	}
	b := x.gathered
	x.gathered = nil
	x.client.SetDeadline(0)
	x.count()
	s.Write(b, func(err error) {
		if err != nil { // it stays where it is, behind what the file has
			x.gathered = append(b, x.gathered...)
		}
		x.gather()
	})
	return true
}

// uploaded reports whether everything that there is of the request's body was passed on, and all of it is there.
func (x *exchange) uploaded() bool {
	return x.req.Done && len(x.tail) == 0 && x.body.Len() == 0
}

// pumpFile moves the body on from its file. It reports whether there was something to move.
func (x *exchange) pumpFile() bool {
	s := x.body
	if s.Len() == 0 && !s.Reading() {
		return false
	}
	if s.Reading() {
		return true
	}
	s.Read(func(b []byte, err error) {
		if x.up == nil { // the app has answered already
			return
		}
		if err != nil {
			if x.begun {
				x.cut(errTempFile)
			} else {
				x.finishWith(500, errTempFile)
			}
			return
		}
		if !x.sendPiece(b) {
			return
		}
		if x.toUp == nil {
			x.pumpUp()
		}
	})
	return true
}

// sendPiece sends bytes of the body to the upstream. It reports whether the exchange goes on.
func (x *exchange) sendPiece(b []byte) bool {
	if x.cgi != nil {
		x.cgi.scratch = x.cgi.frame(x.cgi.scratch[:0], b, x.uploaded())
		b = x.cgi.scratch
	} else if x.chunkUp {
		b = x.appendChunk(nil, b)
	}
	if err := send(x.up, &x.toUp, b, nil); err != nil {
		x.upFailed(err)
		return false
	}
	x.up.SetDeadline(x.f.p.o.UpstreamTime)
	return true
}

// spillDown begins to take the response ahead into a file. It reports whether it does.
func (x *exchange) spillDown() bool {
	if x.back == nil && x.answered && !x.unbuffered && x.f.p.files.Fits(-1) && (x.cgi == nil || x.cgi.file == nil) {
		x.back = x.f.p.files.New(x.f.loop)
	}
	return x.back != nil
}

// backFull reports whether nothing more may be taken ahead into the file for now.
func (x *exchange) backFull() bool {
	return len(x.backBuf) > 0 || !x.back.TakesMore()
}

// putBack takes bytes for the client that come behind what the file has.
func (x *exchange) putBack(a, b []byte) {
	x.backBuf = append(append(x.backBuf, a...), b...)
	if x.back.Writing() || x.back.Broken() || len(x.backBuf) == 0 {
		x.count()
		return
	}
	p := x.backBuf
	x.backBuf = nil
	x.count()
	x.back.Write(p, func(err error) {
		if err != nil {
			x.backBuf = append(p, x.backBuf...)
		} else if len(x.backBuf) > 0 {
			x.putBack(nil, nil)
		}
		if x.toClient == nil && !x.drainBack() {
			return
		}
		if x.up != nil && !x.full() {
			x.pumpDown()
		}
	})
}

// drainBack sends what the file has when the client has taken what there was. It reports whether the exchange goes
// on.
func (x *exchange) drainBack() bool {
	s := x.back
	switch {
	case x.toClient != nil || s.Reading():
	case s.Len() > 0:
		s.Read(func(b []byte, err error) {
			if err != nil {
				x.cut(errTempFile)
				return
			}
			if err := send(x.client, &x.toClient, b, nil); err != nil {
				x.clientGone()
				return
			}
			if x.toClient != nil && !x.awaitClient() {
				return
			}
			x.drainBack()
		})
	case s.Writing():
	case len(x.backBuf) > 0: // the file could not be written
		b := x.backBuf
		x.backBuf = nil
		if err := send(x.client, &x.toClient, b, nil); err != nil {
			x.clientGone()
			return false
		}
		if x.toClient != nil {
			return x.awaitClient()
		}
		return x.drainBack()
	default:
		s.Close()
		x.back = nil
		x.client.SetDeadline(0)
		x.count()
		if x.answered && x.resp.Done && x.up == nil {
			x.finish()
			return false
		}
		if x.up != nil {
			x.later(x.pumpDown)
		}
	}
	return true
}

// waiting returns how many bytes for the client it has not been sent yet.
func (x *exchange) waiting() int64 {
	return int64(x.toClient.len()+len(x.backBuf)) + x.back.Len()
}
