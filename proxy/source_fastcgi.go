package proxy

import (
	"bytes"

	"holdfast/internal/fcgi"
	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/site"
)

// fcgiSource is an app that speaks FastCGI: php-fpm. Its requests and responses are records.
type fcgiSource struct {
	*appLeg
	raw     []byte // the request's head
	script  *site.Script
	id      uint16
	stdin   fcgi.Stdin
	reply   fcgi.Reply
	scratch []byte
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
	if r := h.Parse(s.raw, http1.Limits{Bytes: len(s.raw), Fields: s.x.p.o.HeaderFields + 2}); r != nil {
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
	s.reply.Reset(s.id)
	s.stdin = fcgi.Stdin{ID: s.id}
	q := s.x.f.readRequest(s.x.p, s.x.client.conn, h)
	req := fcgi.Request{
		Method: h.Method, Target: h.Target, Minor: h.Minor, Host: q.Host, Port: q.Port, HTTPS: q.HTTPS,
		Root: s.script.Root, Filename: s.script.Filename, ScriptName: s.script.Name, PathInfo: s.script.PathInfo,
		Length: length, Client: q.Client, Server: s.x.p.o.ServerAddr, Fields: q.ScriptFields(h, request.For{Rules: s.x.route.Request, User: s.x.client.user, Trace: &s.x.log.trace}),
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
func (s *fcgiSource) restart() { s.reply.Reset(s.id) }

// receive implements appSource. It reports whether more are wanted.
func (s *fcgiSource) receive(p []byte) bool {
	p, isHead, err := s.reply.Feed(p)
	switch {
	case s.x.answered:
		return s.receiveBody(nil, p, err)
	case isHead:
		return s.answer(p, err)
	case err != nil:
		s.x.fail(502, err)
	}
	return err == nil
}

// answer sends the response's head, and the part of the body in rest.
func (s *fcgiSource) answer(rest []byte, err error) bool {
	a := &s.x.f.ans
	s.reply.Head.Fill(a)
	s.noticeAll(s.reply.Head.Odd)
	s.x.announce(a)
	if a.Redirect != nil && s.x.route.Table.Internal {
		return s.x.accelRedirect(a, false)
	}
	if s.x.replaced(a, false) || s.x.intercepted(a, false) {
		return false
	}
	bodyless := s.x.isHead || a.Status == 204 || a.Status == 304
	s.reply.Begin(a.Length, bodyless)
	s.x.page.Peek(rest, a.Length)
	c := &s.x.client
	c.chunked = a.Length < 0 && !c.http10 && !bodyless
	return s.receiveBody(s.x.responseHead(a, bodyless || a.Length >= 0 || c.chunked), rest, err)
}

// receiveBody sends head, if any, and the script's output, and ends the response when the script has ended.
func (s *fcgiSource) receiveBody(head, p []byte, err error) bool {
	p, done, err := s.reply.Body(p, err)
	if !s.x.client.passBody(head, p, done, nil) {
		return false
	}
	if r := &s.reply; len(r.Stderr) > 0 && (r.Done || err != nil) {
		s.x.log.trace.Log(s.x.p.o.Log).Warn("script wrote to standard error", "stderr", string(bytes.TrimSpace(r.Stderr)), "more", r.Lost, "script", s.script.Filename)
	}
	switch {
	case err != nil:
		s.x.fail(502, err)
	case done:
		s.responded()
	}
	return err == nil && !done
}
