package proxy

import (
	"bytes"
	"errors"
	"fmt"

	"holdfast/internal/fcgi"
	"holdfast/internal/http1"
	"holdfast/internal/site"
)

var (
	errNoHead   = errors.New("the script ended without a head")
	errTooShort = errors.New("the script sent less than its Content-Length")
)

// cgi is what an exchange with a FastCGI upstream has besides: the request as it came, and where the
// records of the response stand.
type cgi struct {
	raw     []byte // the request's head
	script  *site.Script
	id      uint16
	stdin   fcgi.Stdin
	reader  fcgi.Reader
	head    fcgi.Head
	left    int64 // of the response's body, if its length is known; -1 if not
	noBody  bool  // HEAD, 204, 304: what the script writes is read and dropped
	chunked bool  // the client gets chunks
	inChunk bool  // the end of a chunk is owed

	asking  bool // a worker looks at the file system
	file    *source
	scratch []byte
}

// beginCGI passes the request on as records. The body is complete, in gathered or in a file.
func (x *exchange) beginCGI() {
	h := &x.f.head
	if r := h.Parse(x.cgi.raw, http1.Limits{Bytes: x.f.p.o.HeaderBytes, Fields: x.f.p.o.HeaderFields}); r != nil {
		x.finishWith(r.Status, r) // it was let in before
		return
	}
	length := h.Length
	if h.Chunked {
		length = x.upload.received
	}
	x.f.lastID++
	x.cgi.id = max(x.f.lastID, 1)
	x.cgi.reader.Reset(x.cgi.id)
	x.cgi.stdin = fcgi.Stdin{ID: x.cgi.id}
	q := x.f.readRequest(x.client.conn, h)
	req := fcgi.Request{
		Method: h.Method, Target: h.Target, Minor: h.Minor, Host: q.Host, Port: q.Port, HTTPS: q.HTTPS,
		Root: x.cgi.script.Root, Filename: x.cgi.script.Filename, ScriptName: x.cgi.script.Name, PathInfo: x.cgi.script.PathInfo,
		Length: length, Client: q.Client, Server: x.f.p.o.ServerAddr,
	}
	if _, query, ok := bytes.Cut(h.Target, []byte("?")); ok {
		req.Query = query
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		req.Fields = append(req.Fields, fcgi.Field{Name: f.Name, Value: f.Value, Drop: f.Drop || !q.Trusted && claimsForwarding(f.Name)})
	}
	if !h.HasHost && len(h.Host) > 0 { // of an absolute target
		req.Fields = append(req.Fields, fcgi.Field{Name: []byte("Host"), Value: h.Host})
	}
	for line := range bytes.Lines(appendForwarded(nil, q)) {
		name, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\r\n")), []byte(": "))
		req.Fields = append(req.Fields, fcgi.Field{Name: name, Value: value})
	}
	head := req.Append(nil, x.cgi.id, false) // a kept connection would hold one of php-fpm's few processes
	body := x.cgi.frame(nil, x.upload.gathered, x.uploaded())
	x.app.head, x.upload.gathered = x.app.head[:0], x.upload.gathered[:0]
	x.begin(head, body)
}

// frame appends the records of a piece of the body, and of its end.
func (c *cgi) frame(b, p []byte, last bool) []byte {
	for len(p) > 0 {
		n := min(len(p), fcgi.MaxContent)
		b = append(c.stdin.Append(b, n), p[:n]...)
		p = p[n:]
	}
	if last {
		b = c.stdin.End(b)
	}
	return b
}

// respondCGI takes records of the upstream. It reports whether more are wanted.
func (x *exchange) respondCGI(p []byte) bool {
	c := x.cgi
	n, _, err := c.reader.Feed(p)
	if errors.Is(err, fcgi.ErrExtra) { // the response stands
		err = nil
	}
	if x.answered {
		return x.bodyCGI(nil, p[:n], err)
	}
	seen := len(x.app.partialHead)
	x.app.partialHead = append(x.app.partialHead, p[:n]...)
	end, headErr := fcgi.HeadEnd(x.app.partialHead, seen)
	if end > 0 && headErr == nil {
		headErr = c.head.Parse(x.app.partialHead[:end])
	}
	switch {
	case headErr != nil:
		err = headErr
	case end > 0:
		return x.answerCGI(x.app.partialHead[end:], err)
	case c.reader.Done && err == nil:
		err = errNoHead
	}
	if err != nil {
		x.fail(502, err)
		return false
	}
	return true
}

// answerCGI sends the response's head, with what is there of the body.
func (x *exchange) answerCGI(rest []byte, err error) bool {
	c := x.cgi
	a := &x.f.ans
	*a = http1.Answer{Status: c.head.Status, Line: c.head.Line, Fields: a.Fields[:0], Length: c.head.Length, Minor: 1}
	for _, f := range c.head.Fields {
		g := http1.Field{Name: f.Name, Value: f.Value, Drop: f.Drop}
		a.Note(&g)
		a.Fields = append(a.Fields, g)
	}
	x.noticeAll(c.head.Odd)
	x.tellSessions(a)
	if a.Redirect != nil && x.f.p.internal {
		return x.elsewhere(a, false)
	}
	c.left = a.Length
	c.noBody = x.isHead || a.Status == 204 || a.Status == 304
	c.chunked = a.Length < 0 && !x.client.http10 && !c.noBody
	b := x.answerHeadFor(a, c.noBody || a.Length >= 0 || c.chunked)
	if c.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return x.bodyCGI(append(b, "\r\n"...), rest, err)
}

// bodyCGI sends head, if any, and what the script wrote, and ends the response when the script has.
func (x *exchange) bodyCGI(head, p []byte, err error) bool {
	c := x.cgi
	x.client.heads += int64(len(head))
	switch {
	case c.noBody:
		p = nil
	case c.left >= 0 && int64(len(p)) > c.left: // more than it promised
		p = p[:c.left]
	}
	if c.left >= 0 {
		c.left -= int64(len(p))
	}
	if c.chunked && len(p) > 0 {
		if c.inChunk {
			head = append(head, "\r\n"...)
		}
		head = fmt.Appendf(head, "%x\r\n", len(p))
		c.inChunk = true
	}
	done := c.reader.Done && err == nil
	if done && c.left > 0 && !c.noBody {
		done, err = false, errTooShort
	}
	if len(head)+len(p) > 0 && !x.pass(head, p) {
		return false
	}
	if c.chunked && done {
		end := []byte("\r\n0\r\n\r\n")
		if !c.inChunk {
			end = end[2:]
		}
		if !x.pass(end, nil) {
			return false
		}
	}
	if len(c.reader.Stderr) > 0 && (c.reader.Done || err != nil) {
		x.f.p.o.Log.Warn("the script says", "stderr", string(bytes.TrimSpace(c.reader.Stderr)), "more", c.reader.Lost, "script", c.script.Filename)
	}
	if err != nil {
		x.fail(502, err)
		return false
	}
	if done {
		x.resp.Done = true
		x.responded()
		return false
	}
	return true
}
