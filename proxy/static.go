package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/site"
)

var (
	errSite  = errors.New("the file system could not be asked")
	errShort = errors.New("the file became shorter while it was sent")
)

// pieceBytes of a file are read at once.
const pieceBytes = 128 << 10

// source is the file that an exchange answers with. Reading it may block, so a worker does.
type source struct {
	f        *os.File
	off, end int64
	reading  bool
}

// resolve asks a worker what the path means: a script to run, or a file.
func (x *exchange) resolve(h *http1.Head) {
	req := &site.Request{Method: string(h.Method), Path: string(h.Path)}
	if x.route.Files != nil {
		req.Path, req.Base = string(x.route.below(h.Path)), x.route.paths.Match
	}
	if len(h.Target) > len(h.Path) {
		req.Query = string(h.Target[len(h.Path)+1:])
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Drop {
			req.Field(f.Name, f.Value)
		}
	}
	x.cgi = &cgi{raw: append([]byte(nil), h.Raw...), left: -1, asking: true}
	c, ref, loop, folder := x.cgi, x.client.conn.Ref(), x.f.loop, x.route.folder()
	ask := func() {
		a, err := folder.Serve(req)
		var first []byte
		if err == nil && a.File != nil {
			first, err = readPiece(a.File, a.Offset, a.Offset+a.Length)
		}
		posted := loop.Post(func() {
			if client, ok := ref.Conn(); !ok || x.client.conn != client || x.cgi != c {
				a.File.Close()
				return
			}
			c.asking = false
			x.resolved(a, first, err)
		})
		if !posted {
			a.File.Close() // nil is fine
		}
	}
	if !x.f.loop.Poller().Go(ask) {
		x.f.p.stats.overloaded.Add(1)
		x.finishAfter(503, time.Second, errSite)
	}
}

// resolved goes on with what the path means.
func (x *exchange) resolved(a site.Answer, first []byte, err error) {
	switch {
	case err != nil:
		x.f.p.o.Log.Error("site: a path could not be looked at", "error", err)
		a.File.Close()
		x.finishWith(500, errSite)
	case a.Script != nil:
		x.cgi.script = a.Script
		if !x.upload.body.Done {
			x.gather()
			return
		}
		x.beginCGI()
	case a.Reason != "":
		x.f.p.stats.refused.Add(1)
		x.f.logRefused(x.from, a.Status, a.Reason, "path", x.cgi.path())
		x.finishWith(a.Status, errors.New(a.Reason))
	case a.File == nil && a.Status >= 300 && a.Status != 304:
		x.finishFields(a.Status, 0, a.Head, errors.New("answered here"))
	default:
		x.answerFile(a, first)
	}
}

// answerFile sends a file, or a head alone.
func (x *exchange) answerFile(a site.Answer, first []byte) {
	x.answered, x.log.status = true, a.Status
	if !x.upload.body.Done || x.f.p.draining.Load() {
		x.client.keep = false
	}
	b := fmt.Appendf(x.f.loop.Out()[:0], "HTTP/1.1 %d %s\r\nDate: %s\r\n", a.Status, http.StatusText(a.Status), x.f.loop.Now().UTC().Format(http.TimeFormat))
	b = x.accel.preserved.append(x.accel.preserved.appendWithout(b, a.Head))
	b = append(x.appendConnection(b), "\r\n"...)
	x.client.heads += int64(len(b))
	if a.File != nil {
		x.cgi.file = &source{f: a.File, off: a.Offset + int64(len(first)), end: a.Offset + a.Length}
	} else {
		x.resp.Done = true
	}
	if x.pass(b, first) {
		x.nextPiece()
	}
}

// nextPiece reads on when the client has taken what there was.
func (x *exchange) nextPiece() {
	s := x.cgi.file
	switch {
	case s != nil && s.reading || x.client.out != nil:
		return
	case s != nil && s.off < s.end:
		s.reading = true
		c, ref, loop := x.cgi, x.client.conn.Ref(), x.f.loop
		off, end := s.off, s.end
		if !loop.Poller().Go(func() {
			p, err := readPiece(s.f, off, end)
			if !loop.Post(func() {
				if client, ok := ref.Conn(); !ok || x.client.conn != client || x.cgi != c {
					s.f.Close()
					return
				}
				s.reading = false
				x.piece(p, err)
			}) {
				s.f.Close()
			}
		}) {
			s.reading = false
			x.cut(errSite)
		}
		return
	case s != nil:
		s.f.Close()
		x.cgi.file = nil
	}
	x.resp.Done = true
	x.finish()
}

// piece sends what was read.
func (x *exchange) piece(p []byte, err error) {
	if err != nil {
		x.f.p.o.Log.Error("site: a file could not be read", "error", err)
		x.cut(err)
		return
	}
	x.cgi.file.off += int64(len(p))
	if x.pass(nil, p) {
		x.nextPiece()
	}
}

// readPiece reads from off, at most to end. It runs on a worker.
func readPiece(f *os.File, off, end int64) ([]byte, error) {
	p := make([]byte, min(end-off, pieceBytes))
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return p, nil
	}
	if errors.Is(err, io.EOF) {
		err = errShort
	}
	return nil, err
}

// drop lets go of the file, unless a worker has it, who will.
func (c *cgi) drop() {
	if c != nil && c.file != nil && !c.file.reading {
		c.file.f.Close()
	}
}

// path returns the target's path, as it was sent, for the log.
func (c *cgi) path() string {
	_, target, _ := bytes.Cut(c.raw, []byte(" "))
	if end := bytes.IndexAny(target, " ?\r\n"); end >= 0 {
		target = target[:end]
	}
	return string(target[:min(len(target), 200)])
}
