package proxy

import (
	"holdfast/internal/access"
	"holdfast/internal/admit"
	"holdfast/internal/balance"
	"holdfast/internal/compress"
	"holdfast/internal/headread"
	"holdfast/internal/heldpoll"
	"holdfast/internal/http1"
	"holdfast/internal/metric"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/throttle"
)

// Front is what the client connections of one loop share.
type Front struct {
	p      *generation // of new requests; see Proxy.Use
	loop   *park.Loop
	reader headread.Reader // has the connections that wait for a request
	bound  balance.Bound
	head   http1.Head      // of the request in hand
	req    request.Request // the same
	date   http1.Date
	ans    http1.Answer // of the response in hand
	free   []*exchange
	coders *compress.Loop

	lastID    uint16 // of a FastCGI request
	refused   throttle.PerSecond
	responses metric.Statuses
	durations metric.Durations // of exchanges
}

// HeadRead implements headread.Owner: the request is refused, passed to the PushHandler, or becomes an exchange.
func (f *Front) HeadRead(c *park.Conn, b, rest []byte, more bool) {
	f.enter(c, b, rest, more, nil, nil)
}

// enter is HeadRead. done is the result of a login that had to be verified; nil: there was none. held is the poll that the
// request was, which is all that rest has; nil: none.
func (f *Front) enter(c *park.Conn, b, rest []byte, more bool, done *access.Result, held *heldpoll.Poll) {
	h := &f.head
	if r := h.Parse(b, http1.Limits{Bytes: f.p.o.HeaderBytes, Fields: f.p.o.HeaderFields, Ascii: f.p.o.ASCIITargets}); r != nil {
		f.HeadRefused(c, r, b)
		return
	}
	q := f.readRequest(f.p, c, h)
	q.Rest = rest
	if f.p.o.Challenge != nil { // before a redirect, and for every Host
		if response := f.p.o.Challenge(h.Path); response != nil {
			f.sendAndClose(c, q.Client.Addr(), b, &http1.Refusal{Status: 200, Reason: "challenge of a CA"}, http1.TextPage(200, string(response)))
			return
		}
	}
	v := f.p.Gate.Judge(c, h, q, f.loop.Now(), done)
	switch {
	case v.Refusal != nil:
		f.p.stats.OverLimit(v.Refusal.Status)
		f.refuseClient(c, q.Client, v.Route, v.Refusal, b, v.Details...)
	case v.Attempt != nil:
		p := f.p
		p.Gate.Wait(c, v.Attempt, b, rest, more, func(c *park.Conn, w *admit.Pending) {
			if done := &w.Result; p == f.p {
				f.enter(c, w.Head, w.Rest, w.More, done, held)
			} else { // by the rules from before a reload
				f.enter(c, w.Head, w.Rest, w.More, nil, held)
			}
		})
	case v.Own && v.Answer == nil:
		q.Fields, q.Trace = v.Route.Fields.Lines(), v.Route.Trace.Of(h.Fields)
		f.p.o.Local.Serve(c, q)
	default:
		f.p.stats.Requests.Add(1)
		f.forward(f.p, c, &v, h, q, rest, more, held)
	}
}

// limitHeads has the reader follow the options.
func (f *Front) limitHeads() {
	o := f.p.o
	f.reader.FirstTime, f.reader.IdleTime, f.reader.MaxBytes = o.HeaderTime, o.IdleTime, o.HeaderBytes
}

// readRequest returns the client, scheme, host and port of a checked request. The result is valid as long as the head,
// and until the next call.
func (f *Front) readRequest(p *generation, c *park.Conn, h *http1.Head) *request.Request {
	p.Reader.Read(&f.req, c.RemoteAddr(), c.TLS(), h.Host, &h.Forwarding)
	f.req.Head, f.req.Body = h.Raw, h.Chunked || h.Length > 0
	return &f.req
}

// HeaderRead implements proxyheader.Owner.
func (f *Front) HeaderRead(c *park.Conn, rest []byte) { f.reader.Begin(c, rest) }

// HeaderRefused implements proxyheader.Owner. The peer gets no response, as it has not begun to speak HTTP.
func (f *Front) HeaderRefused(c *park.Conn, err error) {
	f.p.stats.Refused.Add(1)
	f.p.o.Log.Warn("connection refused", "reason", err, "client", c.RemoteAddr())
	c.Abort()
}

// resume parks c until its next request, or begins with the bytes that are here already. more means that further bytes
// may wait in the kernel for which no event follows.
func (f *Front) resume(c *park.Conn, rest []byte, more bool) {
	if f.p.draining.Load() && len(rest) == 0 {
		c.Close()
		return
	}
	f.reader.Resume(c, rest, more)
}
