package proxy

import (
	"bytes"
	"errors"

	"holdfast/internal/fcgi"
	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/site"
)

var (
	errNoHead   = errors.New("the script ended without a head")
	errTooShort = errors.New("the script sent less than its Content-Length")
)

// fcgiSource is an app that speaks FastCGI: php-fpm. Its requests and responses are records.
type fcgiSource struct {
	*appLeg
	raw      []byte // the request's head
	script   *site.Script
	id       uint16
	stdin    fcgi.Stdin
	reader   fcgi.Reader
	response fcgi.Head
	left     int64 // of the response's body, if its length is known; -1 if not
	noBody   bool  // HEAD, 204, 304: the script's output is read and dropped
	scratch  []byte
}

// start implements source. raw has the request's head, and upload.gathered the body received so far.
func (s *fcgiSource) start(*http1.Head, *request.Request, []byte) {
	if !s.x.upload.body.Done {
		s.x.upload.collect()
		return
	}
	s.request()
}

// needsWhole implements appSource: php-fpm runs a script even with a part of the body.
func (s *fcgiSource) needsWhole() bool { return true }

// collected implements appSource.
func (s *fcgiSource) collected() {
	u := &s.x.upload
	if u.file != nil { // the file's bytes come first
		u.tail, u.gathered = u.gathered, nil
	}
	s.request()
}

// frame implements appSource.
func (s *fcgiSource) frame(b []byte) []byte {
	s.scratch = s.stdin.AppendBody(s.scratch[:0], b, s.x.upload.passedOn())
	return s.scratch
}

// endsAtClose implements appSource.
func (s *fcgiSource) endsAtClose() bool { return false }

// request sends the request as records. The body is complete, in gathered or in a file.
func (s *fcgiSource) request() {
	h := &s.x.f.head
	if r := h.Parse(s.raw, http1.Limits{Bytes: len(s.raw), Fields: s.x.f.p.o.HeaderFields + 2}); r != nil {
		s.x.finishWith(r.Status, r) // it passed the check before
		return
	}
	s.x.page.Request(h)
	s.x.coder.Request(h)
	length := h.Length
	if h.Chunked {
		length = s.x.upload.received
	}
	s.x.f.lastID++
	s.id = max(s.x.f.lastID, 1)
	s.reader.Reset(s.id)
	s.stdin = fcgi.Stdin{ID: s.id}
	q := s.x.f.readRequest(s.x.client.conn, h)
	req := fcgi.Request{
		Method: h.Method, Target: h.Target, Minor: h.Minor, Host: q.Host, Port: q.Port, HTTPS: q.HTTPS,
		Root: s.script.Root, Filename: s.script.Filename, ScriptName: s.script.Name, PathInfo: s.script.PathInfo,
		Length: length, Client: q.Client, Server: s.x.f.p.o.ServerAddr, Fields: q.ScriptFields(h),
		User: s.x.client.user, Extra: s.x.route.Params,
	}
	if _, query, ok := bytes.Cut(h.Target, []byte("?")); s.script.HasQuery {
		req.Query = []byte(s.script.Query)
	} else if ok {
		req.Query = query
	}
	head := req.Append(nil, s.id, false) // a kept connection would hold one of php-fpm's few processes
	body := s.stdin.AppendBody(nil, s.x.upload.gathered, s.x.upload.passedOn())
	s.head, s.x.upload.gathered = s.head[:0], s.x.upload.gathered[:0]
	s.begin(head, body)
}

// restart implements appSource.
func (s *fcgiSource) restart() { s.reader.Reset(s.id) }

// receive implements appSource. It reports whether more are wanted.
func (s *fcgiSource) receive(p []byte) bool {
	n, _, err := s.reader.Feed(p)
	if errors.Is(err, fcgi.ErrExtra) { // the response is valid; the connection is not reused
		err = nil
	}
	if s.x.answered {
		return s.receiveBody(nil, p[:n], err)
	}
	seen := len(s.partialHead)
	s.partialHead = append(s.partialHead, p[:n]...)
	end, headErr := fcgi.HeadEnd(s.partialHead, seen)
	if end > 0 && headErr == nil {
		headErr = s.response.Parse(s.partialHead[:end])
	}
	switch {
	case headErr != nil:
		err = headErr
	case end > 0:
		return s.answer(s.partialHead[end:], err)
	case s.reader.Done && err == nil:
		err = errNoHead
	}
	if err != nil {
		s.x.fail(502, err)
		return false
	}
	return true
}

// answer sends the response's head, and the part of the body in rest.
func (s *fcgiSource) answer(rest []byte, err error) bool {
	a := &s.x.f.ans
	s.response.Fill(a)
	s.noticeAll(s.response.Odd)
	s.x.announce(a)
	if a.Redirect != nil && s.x.route.Table.Internal {
		return s.x.accelRedirect(a, false)
	}
	if s.x.replaced(a, false) {
		return false
	}
	s.left = a.Length
	s.noBody = s.x.isHead || a.Status == 204 || a.Status == 304
	c := &s.x.client
	c.chunked = a.Length < 0 && !c.http10 && !s.noBody
	return s.receiveBody(s.x.responseHead(a, s.noBody || a.Length >= 0 || c.chunked), rest, err)
}

// receiveBody sends head, if any, and the script's output, and ends the response when the script has ended.
func (s *fcgiSource) receiveBody(head, p []byte, err error) bool {
	switch {
	case s.noBody:
		p = nil
	case s.left >= 0 && int64(len(p)) > s.left: // more than its Content-Length
		p = p[:s.left]
	}
	if s.left >= 0 {
		s.left -= int64(len(p))
	}
	done := s.reader.Done && err == nil
	if done && s.left > 0 && !s.noBody {
		done, err = false, errTooShort
	}
	if !s.x.client.passBody(head, p, done, nil) {
		return false
	}
	if len(s.reader.Stderr) > 0 && (s.reader.Done || err != nil) {
		s.x.f.p.o.Log.Warn("script wrote to standard error", "stderr", string(bytes.TrimSpace(s.reader.Stderr)), "more", s.reader.Lost, "script", s.script.Filename)
	}
	if err != nil {
		s.x.fail(502, err)
		return false
	}
	if done {
		s.responded()
		return false
	}
	return true
}
