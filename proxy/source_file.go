package proxy

import (
	"errors"
	"os"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/site"
)

var errSite = errors.New("the file system is too busy, or failed")

// fileSource responds with a file. It first looks up the path: if that is a script's, the app that runs it becomes the
// source. Looking up and reading may block, so workers do both.
type fileSource struct {
	x        *exchange
	raw      []byte // the request's head
	f        *os.File
	off, end int64
	reading  bool // a worker has the file

	script fcgiSource // embedded, for a path that is a script's
}

func newFileSource(x *exchange) source { return &fileSource{x: x} }

// start has a worker look up the path.
func (s *fileSource) start(h *http1.Head, _ *request.Request, body []byte) {
	s.x.upload.gathered = append(s.x.upload.gathered, body...)
	req := s.x.route.Lookup(h)
	if own := s.x.fetch.Client(); own != nil { // with its conditions, as a file is for this client only
		s.x.page.Request(own)
		s.x.coder.Request(own)
		req = s.x.route.Lookup(own)
	}
	if s.x.page == nil { // or else its bytes have to be read
		req.Precompressed = s.x.coder.Precompressed()
	}
	s.raw = append([]byte(nil), h.Raw...)
	folder := s.x.route.Folder()
	ask := func() func(bool) {
		a, err := folder.Serve(req)
		var first []byte
		if err == nil && a.File != nil {
			first, err = site.ReadPiece(a.File, a.Offset, a.Offset+a.Length)
		}
		return func(live bool) {
			if !live {
				a.File.Close() // nil is fine
				return
			}
			s.resolved(a, first, err)
		}
	}
	if !s.work(ask) {
		s.x.p.stats.Overloaded.Add(1)
		s.x.finishAfter(503, time.Second, errSite)
	}
}

// work runs op on a worker, and then the function that op returns on the loop; live is true there if the exchange still
// has this source. If op panics, the exchange ends. work returns false, and has done nothing, if no worker is
// available.
func (s *fileSource) work(op func() (next func(live bool))) bool {
	x, post := s.x, s.x.poster()
	next := func(live bool) {
		if live {
			x.abandonUnless(new(bool), x.serial)
		}
	}
	return x.f.loop.Poller().Go(func() {
		defer func() {
			if !post(func(live bool, _ time.Time) { next(live && x.source == source(s)) }) { // the loop has ended
				next(false)
			}
		}()
		next = op()
	})
}

// resolved continues with the result of the lookup.
func (s *fileSource) resolved(a site.Answer, first []byte, err error) {
	switch {
	case err != nil:
		s.x.log.trace.Log(s.x.p.o.Log).Error("site: path not looked up", "error", err)
		a.File.Close()
		s.x.finishWith(500, errSite)
	case a.Script != nil:
		x := s.x
		s.script = fcgiSource{appLeg: &x.app, raw: s.raw, script: a.Script}
		x.source, x.app.source = &s.script, &s.script
		s.script.start(nil, nil, nil)
	case a.Reason != "":
		s.x.p.stats.Refused.Add(1)
		s.x.f.logRefused(s.x.client.from, a.Status, a.Reason, "path", http1.PathOf(s.raw))
		s.x.finishWith(a.Status, errors.New(a.Reason))
	case a.File == nil && a.Status >= 300 && a.Status != 304:
		s.x.finishFields(a.Status, 0, a.Head, errors.New("answered by Holdfast"))
	default:
		s.answer(a, first)
	}
}

// answer sends a file, or a head alone.
func (s *fileSource) answer(a site.Answer, first []byte) {
	c := &s.x.client
	s.x.fetch.Elsewhere(s.x.f.loop.Now())
	s.x.page.Peek(first, a.Length)
	b := s.x.ownHead(a.Status, a.Head)
	if a.File != nil {
		s.f, s.off, s.end = a.File, a.Offset+int64(len(first)), a.Offset+a.Length
	}
	if c.passBody(b, first, s.off == s.end, nil) {
		s.clientReady()
	}
}

// bodyReady implements source: the body of a request for a file is not read.
func (s *fileSource) bodyReady() {}

// clientReady implements source: it reads on after the client has taken everything passed so far.
func (s *fileSource) clientReady() {
	switch {
	case !s.x.answered || s.reading || s.x.client.out != nil || s.x.client.rest != nil || s.x.coder.Full():
		return
	case s.off < s.end:
		s.reading = true
		f, off, end := s.f, s.off, s.end
		read := func() func(bool) {
			p, err := site.ReadPiece(f, off, end)
			return func(live bool) {
				if !live {
					f.Close()
					return
				}
				s.reading = false
				s.piece(p, err)
			}
		}
		if !s.work(read) {
			s.reading = false
			s.x.cut(errSite)
		}
		return
	}
	s.close()
	s.x.complete()
}

// close implements source. A worker that has the file closes it.
func (s *fileSource) close() {
	if s.f != nil && !s.reading {
		s.f.Close()
		s.f = nil
	}
}

// piece sends a piece of the file.
func (s *fileSource) piece(p []byte, err error) {
	if err != nil {
		s.x.log.trace.Log(s.x.p.o.Log).Error("site: file not read", "error", err)
		s.x.cut(err)
		return
	}
	s.off += int64(len(p))
	if s.x.client.passBody(nil, p, s.off == s.end, nil) {
		s.clientReady()
	}
}
