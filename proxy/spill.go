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
	if x.upload.file == nil {
		length := int64(-1)
		if x.upload.body.Framing == http1.ByLength {
			length = x.upload.body.Left() + int64(len(x.upload.gathered))
		}
		if x.upload.body.Done || len(x.upload.gathered) == 0 || !x.f.p.files.Fits(length) {
			return false
		}
		x.upload.file = x.f.p.files.New(x.f.loop)
		x.idempotent = false // not sent twice
	}
	s := x.upload.file
	if s.Broken() || !x.upload.body.Done && !s.TakesMore() || len(x.upload.gathered) == 0 {
		return false
	}
	b := x.upload.gathered
	x.upload.gathered = nil
	x.client.conn.SetDeadline(0)
	x.count()
	s.Write(b, func(err error) {
		if err != nil { // it stays where it is, behind what the file has
			x.upload.gathered = append(b, x.upload.gathered...)
		}
		x.gather()
	})
	return true
}

// uploaded reports whether everything that there is of the request's body was passed on, and all of it is there.
func (x *exchange) uploaded() bool {
	return x.upload.body.Done && len(x.upload.tail) == 0 && x.upload.file.Len() == 0
}

// pumpFile moves the body on from its file. It reports whether there was something to move.
func (x *exchange) pumpFile() bool {
	s := x.upload.file
	if s.Len() == 0 && !s.Reading() {
		return false
	}
	if s.Reading() {
		return true
	}
	s.Read(func(b []byte, err error) {
		if x.app.conn == nil { // the app has answered already
			return
		}
		if err != nil {
			if x.client.begun {
				x.cut(errTempFile)
			} else {
				x.finishWith(500, errTempFile)
			}
			return
		}
		if !x.sendPiece(b) {
			return
		}
		if x.app.out == nil {
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
	} else if x.upload.chunked {
		b = x.appendChunk(nil, b)
	}
	if err := send(x.app.conn, &x.app.out, b, nil); err != nil {
		x.upFailed(err)
		return false
	}
	x.app.conn.SetDeadline(x.f.p.o.UpstreamTime)
	return true
}

// spillDown begins to take the response ahead into a file. It reports whether it does.
func (x *exchange) spillDown() bool {
	if x.client.file == nil && x.answered && !x.client.unbuffered && x.f.p.files.Fits(-1) && (x.cgi == nil || x.cgi.file == nil) {
		x.client.file = x.f.p.files.New(x.f.loop)
	}
	return x.client.file != nil
}

// backFull reports whether nothing more may be taken ahead into the file for now.
func (x *exchange) backFull() bool {
	return len(x.client.fileTail) > 0 || !x.client.file.TakesMore()
}

// putBack takes bytes for the client that come behind what the file has.
func (x *exchange) putBack(a, b []byte) {
	x.client.fileTail = append(append(x.client.fileTail, a...), b...)
	if x.client.file.Writing() || x.client.file.Broken() || len(x.client.fileTail) == 0 {
		x.count()
		return
	}
	p := x.client.fileTail
	x.client.fileTail = nil
	x.count()
	x.client.file.Write(p, func(err error) {
		if err != nil {
			x.client.fileTail = append(p, x.client.fileTail...)
		} else if len(x.client.fileTail) > 0 {
			x.putBack(nil, nil)
		}
		if x.client.out == nil && !x.drainBack() {
			return
		}
		if x.app.conn != nil && !x.full() {
			x.pumpDown()
		}
	})
}

// drainBack sends what the file has when the client has taken what there was. It reports whether the exchange goes
// on.
func (x *exchange) drainBack() bool {
	s := x.client.file
	switch {
	case x.client.out != nil || s.Reading():
	case s.Len() > 0:
		s.Read(func(b []byte, err error) {
			if err != nil {
				x.cut(errTempFile)
				return
			}
			if err := send(x.client.conn, &x.client.out, b, nil); err != nil {
				x.clientGone()
				return
			}
			if x.client.out != nil && !x.awaitClient() {
				return
			}
			x.drainBack()
		})
	case s.Writing():
	case len(x.client.fileTail) > 0: // the file could not be written
		b := x.client.fileTail
		x.client.fileTail = nil
		if err := send(x.client.conn, &x.client.out, b, nil); err != nil {
			x.clientGone()
			return false
		}
		if x.client.out != nil {
			return x.awaitClient()
		}
		return x.drainBack()
	default:
		s.Close()
		x.client.file = nil
		x.client.conn.SetDeadline(0)
		x.count()
		if x.answered && x.resp.Done && x.app.conn == nil {
			x.finish()
			return false
		}
		if x.app.conn != nil {
			x.later(x.pumpDown)
		}
	}
	return true
}

// waiting returns how many bytes for the client it has not been sent yet.
func (x *exchange) waiting() int64 {
	return int64(x.client.out.len()+len(x.client.fileTail)) + x.client.file.Len()
}
