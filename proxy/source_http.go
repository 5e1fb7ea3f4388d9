package proxy

import (
	"fmt"

	"holdfast/internal/fcgi"
	"holdfast/internal/http1"
	"holdfast/internal/request"
	"holdfast/internal/sendbuf"
)

// httpSource is an app that speaks HTTP.
type httpSource struct {
	*appLeg
	body    http1.Body // of the response
	upgrade string     // that the client requests; empty: none
}

func newHTTPSource(x *exchange) source {
	x.http = httpSource{appLeg: &x.app}
	x.app.source = &x.http
	return &x.http
}

// start implements source. A body that fits into the buffers is collected before the request is sent to the app.
func (s *httpSource) start(h *http1.Head, q *request.Request, body []byte) {
	x := s.x
	r := x.route
	s.upgrade = string(h.Upgrade)
	s.sticky = r.Servers.StickyOf(h)
	if r.Paths.Rewrites() {
		x.asked.Set(&r.Paths, h.Host, q.Host, q.HTTPS)
	}
	b := q.AppendHead(x.f.loop.Out()[:0], h, request.For{Mapping: &r.Paths, Rules: r.Request, User: x.client.user, Trace: &x.log.trace})
	streams := !x.upload.body.Done && !s.needsWhole() && !x.upload.gathers(h.Length)
	if !h.Chunked && (x.upload.body.Done || streams) {
		s.begin(b, body)
		return
	}
	s.head = append(s.head, b...)
	x.upload.gathered = append(x.upload.gathered, body...)
	if x.upload.body.Done || streams {
		s.frameUpload()
		s.begin(s.head, x.upload.gathered)
		return
	}
	x.upload.collect()
}

// needsWhole implements appSource.
func (s *httpSource) needsWhole() bool { return !s.x.route.StreamUploads }

// collected implements appSource.
func (s *httpSource) collected() {
	u := &s.x.upload
	if u.file != nil { // the file's bytes come first
		u.tail, u.gathered = u.gathered, nil
	}
	if u.body.Framing == http1.ByChunks {
		s.frameUpload()
	}
	s.begin(s.head, u.gathered)
}

// frame implements appSource.
func (s *httpSource) frame(b []byte) []byte {
	if s.x.upload.chunked {
		return s.appendChunk(nil, b)
	}
	return b
}

// endsAtClose implements appSource.
func (s *httpSource) endsAtClose() bool { return s.body.Framing == http1.ByClose }

// restart implements appSource.
func (s *httpSource) restart() {}

// frameUpload completes the head of a request whose body came in chunks. A complete body is sent with its length, as
// many apps read no other (WSGI knows no chunks). An incomplete one is sent in new chunks.
func (s *httpSource) frameUpload() {
	b := s.head[:len(s.head)-2]
	if s.x.upload.body.Done {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", s.x.upload.received)
	} else {
		s.x.upload.chunked = true
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		s.x.upload.gathered = s.appendChunk(nil, s.x.upload.gathered)
	}
	s.head = append(b, "\r\n"...)
}

// appendChunk appends a piece of the request's body as a chunk, and the last chunk at the end of the body.
func (s *httpSource) appendChunk(b, p []byte) []byte {
	if len(p) > 0 {
		b = append(append(http1.AppendChunkSize(b, len(p)), p...), "\r\n"...)
	}
	if s.x.upload.passedOn() {
		b = http1.AppendLastChunk(b, nil) // without the client's trailers: few apps expect any
	}
	return b
}

// receive implements appSource. It reports whether more are wanted.
func (s *httpSource) receive(p []byte) bool {
	if s.x.answered {
		return s.receiveBody(nil, p)
	}
	if len(s.partialHead) > 0 {
		seen := len(s.partialHead)
		s.partialHead = append(s.partialHead, p...)
		return s.receiveHead(s.partialHead, seen)
	}
	return s.receiveHead(p, 0)
}

// receiveHead looks for a complete head in p.
func (s *httpSource) receiveHead(p []byte, seen int) bool {
	for {
		n, err := fcgi.HeadEnd(p, seen)
		switch {
		case err != nil:
			s.x.fail(502, errHeadSize)
			return false
		case n == 0:
			if len(p) > 0 && (len(s.partialHead) == 0 || &s.partialHead[0] != &p[0]) {
				s.partialHead = append(s.partialHead[:0], p...)
			}
			return true
		}
		a := &s.x.f.ans
		if err := a.Parse(p[:n]); err != nil {
			s.x.fail(502, err)
			return false
		}
		s.noticeAll(a.Odd)
		rest := p[n:]
		if a.Status == 101 {
			return s.switchProtocols(a, rest)
		}
		if a.Status >= 200 {
			return s.answer(a, rest)
		}
		if s.interim++; s.interim > maxInterim {
			s.x.fail(502, http1.Malformed("too many interim responses"))
			return false
		}
		if a.Status != 100 && !s.x.client.http10 && s.x.client.out == nil && !s.x.client.gone { // Holdfast has sent its own 100; hints are dropped for a slow client
			s.x.push.Interim(a)
			b := append(a.Append(s.x.f.loop.Out()[:0]), "\r\n"...)
			s.x.client.passed += int64(len(b))
			s.x.client.heads += int64(len(b))
			if err := sendbuf.Send(s.x.client.conn, &s.x.client.out, b, nil); err != nil {
				if s.x.clientGone(); s.x.client.conn == nil { // or else the message of the app's response is awaited
					return false
				}
			}
		}
		p, seen = append([]byte(nil), rest...), 0
		s.partialHead = s.partialHead[:0]
		if len(p) == 0 {
			return true
		}
	}
}

// answer sends the final response's head, and the part of the body in rest.
func (s *httpSource) answer(a *http1.Answer, rest []byte) bool {
	s.keep = !a.Close
	s.x.announce(a)
	s.connLogin = s.connLogin || a.ConnLogin
	if a.Redirect != nil && s.x.route.Table.Internal {
		return s.x.accelRedirect(a, len(rest) == 0 && (s.x.isHead || a.Length == 0 || a.Status == 204))
	}
	if bodyless := len(rest) == 0 && (a.Status == 304 || a.Length == 0); s.x.replaced(a, bodyless) || s.x.intercepted(a, bodyless) {
		return false
	}
	switch {
	case s.x.isHead || a.Status == 204 || a.Status == 304:
		s.body = http1.Body{Done: true}
	case a.Chunked:
		s.body = http1.Body{Framing: http1.ByChunks, Lenient: true}
	case a.Length >= 0:
		s.body = http1.LengthBody(a.Length)
	default:
		s.body = http1.Body{Framing: http1.ByClose}
		s.keep = false
	}
	s.x.page.Peek(rest, a.Length)
	c := &s.x.client
	if c.http10 {
		a.Drop("transfer-encoding")
	}
	if !c.trailers {
		a.Drop("trailer")
	}
	unframed := s.body.Framing == http1.ByChunks || s.body.Framing == http1.ByClose
	c.chunked = unframed && !c.http10
	return s.receiveBody(s.x.responseHead(a, !unframed || c.chunked), rest)
}

// receiveBody sends head, if any, and body bytes to the client.
func (s *httpSource) receiveBody(head, p []byte) bool {
	n, used, err := s.body.Feed(p)
	if err == nil && used < len(p) { // extra bytes: the response is valid, but the connection is not reused
		s.keep = false
	}
	s.noticeAll(s.body.NewOdd())
	if !s.x.client.passBody(head, p[:n], s.body.Done, s.body.Trailers()) {
		return false
	}
	if err != nil {
		s.x.fail(502, err)
		return false
	}
	if s.body.Done {
		s.responded()
		return false
	}
	return true
}
