package proxy

import (
	"errors"
	"io"
	"os"

	"holdfast/internal/http1"
)

var (
	errSpill = errors.New("a temporary file could not be read (buffers.temp_dir)")
	errBusy  = errors.New("all workers are busy")
)

// spill is a part of a body that waits in a temporary file: written at its end, read at its beginning. Both may block,
// so workers do it, one write and one read at a time.
type spill struct {
	p          *Proxy
	f          *os.File // made by the first write
	name       string   // to be removed with it, where that cannot be done at once
	read, size int64    // bytes that were taken out, and put in
	writing    bool
	reading    bool
	broken     bool // nothing more is put in
	gone       bool // the exchange is over: the last worker closes
}

// maySpill reports whether another body may begin to use a file.
func (p *Proxy) maySpill() bool {
	return p.o.Folder != "" && p.spilled.Load() < p.o.FilesTotal
}

func (s *spill) left() int64 { return s.size - s.read }

// put writes b at the end; next is told on the loop. b is the spill's until then.
func (x *exchange) put(s *spill, b []byte, next func(error)) {
	s.writing = true
	off := s.size // drop may change it while the worker writes
	x.work(s, func() error {
		if s.f == nil {
			f, err := os.CreateTemp(s.p.o.Folder, "holdfast-")
			if err != nil {
				return err
			}
			if os.Remove(f.Name()) != nil {
				s.name = f.Name()
			}
			s.f = f
		}
		_, err := s.f.WriteAt(b, off)
		return err
	}, func(err error) {
		s.writing = false
		if err != nil {
			s.broken = true
			x.f.p.stats.spillErrors.Add(1)
			x.f.p.o.Log.Error("temporary file not written; the body is streamed on, or refused if for FastCGI", "folder", s.p.o.Folder, "error", err)
		} else {
			s.size += int64(len(b))
			s.p.spilled.Add(int64(len(b)))
		}
		next(err)
	})
}

// takeOut reads the next piece; next is told on the loop.
func (x *exchange) takeOut(s *spill, next func([]byte, error)) {
	s.reading = true
	b := make([]byte, min(s.left(), pieceBytes))
	off := s.read
	x.work(s, func() error {
		n, err := s.f.ReadAt(b, off)
		if n == len(b) || err == nil {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = errShort
		}
		return err
	}, func(err error) {
		s.reading = false
		if err == nil {
			s.read += int64(len(b))
		}
		next(b, err)
	})
}

// work runs op on a worker and then next on the loop, unless the exchange is over by then.
func (x *exchange) work(s *spill, op func() error, next func(error)) {
	loop := x.f.loop
	ok := loop.Poller().Go(func() {
		err := op()
		if !loop.Post(func() {
			if s.gone {
				s.writing, s.reading = false, false
				s.close()
				return
			}
			next(err)
		}) {
			s.close()
		}
	})
	if !ok {
		loop.Later(func() {
			if s.gone {
				s.close()
				return
			}
			next(errBusy)
		})
	}
}

// drop ends the use of a file. Nil is fine.
func (s *spill) drop() {
	if s == nil {
		return
	}
	s.gone = true
	s.p.spilled.Add(-s.size)
	s.size, s.read = 0, 0
	if !s.writing && !s.reading {
		s.close()
	}
}

func (s *spill) close() {
	if s.f == nil {
		return
	}
	_ = s.f.Close()
	if s.name != "" {
		_ = os.Remove(s.name)
	}
}

// spillUpload puts what was gathered of the request's body into a file, so that the app is asked when all is there. It
// reports false if the body is to be streamed on instead.
func (x *exchange) spillUpload() bool {
	o := &x.f.p.o
	if x.body == nil {
		if x.req.Done || len(x.gathered) == 0 || !x.f.p.maySpill() || x.req.Framing == http1.ByLength && x.req.Left()+int64(len(x.gathered)) > o.FileBytes {
			return false
		}
		x.body = &spill{p: x.f.p}
		x.f.p.stats.spills.Add(1)
		x.idempotent = false // not sent twice
	}
	s := x.body
	if s.broken || !x.req.Done && (s.size >= o.FileBytes || x.f.p.spilled.Load() >= o.FilesTotal) || len(x.gathered) == 0 {
		return false
	}
	b := x.gathered
	x.gathered = nil
	x.client.SetDeadline(0)
	x.count()
	x.put(s, b, func(err error) {
		if err != nil { // it stays where it is, behind what the file has
			x.gathered = append(b, x.gathered...)
		}
		x.gather()
	})
	return true
}

// uploaded reports whether everything that there is of the request's body was passed on, and all of it is there.
func (x *exchange) uploaded() bool {
	return x.req.Done && len(x.tail) == 0 && (x.body == nil || x.body.left() == 0)
}

// pumpFile moves the body on from its file. It reports whether there was something to move.
func (x *exchange) pumpFile() bool {
	s := x.body
	if s == nil || s.left() == 0 && !s.reading {
		return false
	}
	if s.reading {
		return true
	}
	x.takeOut(s, func(b []byte, err error) {
		if x.up == nil { // the app has answered already
			return
		}
		if err != nil {
			x.f.p.o.Log.Error("temporary file not read", "error", err)
			if x.begun {
				x.cut(errSpill)
			} else {
				x.finishWith(500, errSpill)
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
	if x.back == nil && x.answered && !x.unbuffered && x.f.p.maySpill() && (x.cgi == nil || x.cgi.file == nil) {
		x.back = &spill{p: x.f.p}
		x.f.p.stats.spills.Add(1)
	}
	return x.back != nil
}

// backFull reports whether nothing more may be taken ahead into the file for now.
func (x *exchange) backFull() bool {
	s, o := x.back, &x.f.p.o
	return s.writing || s.broken || len(x.backBuf) > 0 || s.left() >= o.FileBytes || x.f.p.spilled.Load() >= o.FilesTotal
}

// putBack takes bytes for the client that come behind what the file has.
func (x *exchange) putBack(a, b []byte) {
	x.backBuf = append(append(x.backBuf, a...), b...)
	if x.back.writing || x.back.broken || len(x.backBuf) == 0 {
		x.count()
		return
	}
	p := x.backBuf
	x.backBuf = nil
	x.count()
	x.put(x.back, p, func(err error) {
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
	case x.toClient != nil || s.reading:
	case s.left() > 0:
		x.takeOut(s, func(b []byte, err error) {
			if err != nil {
				x.f.p.o.Log.Error("temporary file not read", "error", err)
				x.cut(errSpill)
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
	case s.writing:
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
		s.drop()
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
	n := int64(x.toClient.len() + len(x.backBuf))
	if x.back != nil {
		n += x.back.left()
	}
	return n
}
