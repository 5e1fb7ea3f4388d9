package proxy

import (
	"holdfast/internal/balance"
	"holdfast/internal/compress"
	"holdfast/internal/headread"
	"holdfast/internal/http1"
	"holdfast/internal/metric"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/throttle"
)

// Front is what the client connections of one loop share.
type Front struct {
	p      *Proxy
	loop   *park.Loop
	reader headread.Reader // has the connections that wait for a request
	pools  []*balance.Pool // by the index of the upstream
	bound  balance.Bound
	head   http1.Head      // of the request in hand
	req    request.Request // the same
	date   http1.Date
	ans    http1.Answer // of the response in hand
	free   []*exchange

	compress *compress.Loop

	lastID    uint16 // of a FastCGI request
	refused   throttle.PerSecond
	responses metric.Statuses
	durations metric.Durations // of exchanges
}

// HeadRead implements headread.Owner: the request is refused, passed to the PushHandler, or becomes an exchange.
func (f *Front) HeadRead(c *park.Conn, b, rest []byte, more bool) {
	h := &f.head
	if r := h.Parse(b, http1.Limits{Bytes: f.p.o.HeaderBytes, Fields: f.p.o.HeaderFields, Ascii: f.p.o.ASCIITargets}); r != nil {
		f.HeadRefused(c, r, b)
		return
	}
	q := f.readRequest(c, h)
	q.Rest = rest
	site, refusal := f.p.sites.Find(h.Host, q.Host)
	if refusal != nil {
		f.refuseClient(c, q.Client, refusal, b, "host", string(h.Host), "forwarded_host", string(h.Forwarding[http1.ForwardedHost]))
		return
	}
	r, limits := f.p.insecure(c, h, q), site.Rest()
	own := r == nil && f.p.o.Local != nil && site.Push && f.p.o.Local.Owns(h.Path)
	if r == nil && !own {
		if r, refusal = site.Open(h.Path); refusal == nil {
			limits = r
		}
	}
	if over := f.limit(h, q, limits.Settings); over != nil {
		refusal = over
	}
	switch {
	case refusal != nil:
		f.refuseClient(c, q.Client, refusal, b)
	case own:
		f.p.o.Local.Serve(c, q)
	default:
		f.p.stats.requests.Add(1)
		f.forward(c, r, h, q, rest, more)
	}
}

// readRequest returns the client, scheme, host and port of a checked request. The result is valid as long as the head,
// and until the next call.
func (f *Front) readRequest(c *park.Conn, h *http1.Head) *request.Request {
	f.p.reader.Read(&f.req, c.RemoteAddr(), c.TLS(), h.Host, &h.Forwarding)
	f.req.Head, f.req.Body = h.Raw, h.Chunked || h.Length > 0
	return &f.req
}

// HeaderRead implements proxyheader.Owner.
func (f *Front) HeaderRead(c *park.Conn, rest []byte) { f.reader.Begin(c, rest) }

// HeaderRefused implements proxyheader.Owner. The peer gets no response, as it has not begun to speak HTTP.
func (f *Front) HeaderRefused(c *park.Conn, err error) {
	f.p.stats.refused.Add(1)
	f.p.o.Log.Warn("connection refused", "reason", err, "client", c.RemoteAddr())
	c.Abort()
}

// limit refuses a request beyond the limits of its route.
func (f *Front) limit(h *http1.Head, q *request.Request, s *route.Settings) *http1.Refusal {
	r := s.Refuses(h.Length, q.Client.Addr(), f.loop.Now())
	switch {
	case r == nil:
	case r.Status == 429:
		f.p.stats.rateLimited.Add(1)
	case r.Status == 503:
		f.p.stats.overloaded.Add(1)
	}
	return r
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
