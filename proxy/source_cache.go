package proxy

import (
	"time"

	"holdfast/internal/admit"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/heldpoll"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// cacheSource is the source of a request that is answered from memory, that waits for what another one fetches, or whose body
// has to be read to know what it asks for. It implements fetch.Exchange.
type cacheSource exchange

// cached reports whether the cache takes the request.
func (x *exchange) cached(h *http1.Head, q *request.Request, body []byte) bool {
	c := x.p.o.Cache
	if c == nil || x.accel.hops > 0 || x.f.bound.Has(x.client.conn.Ref()) { // by a login of the connection, which no field tells
		return false
	}
	now := x.f.loop.Now()
	hit, f := c.Find(x.route.Rules, h, q, body, x.upload.body.Done, now)
	switch x.fetch = f; {
	case hit.Entry != nil:
		(*cacheSource)(x).Serve(hit, h.Fields)
	case f == nil:
		x.change = c.Change(h, q, now)
		return false
	case f.NeedsBody(x.route.RequestBuffer):
		x.source = (*cacheSource)(x)
		x.upload.gathered = append(x.upload.gathered, body...)
		x.source.bodyReady()
	default:
		f.Begin((*cacheSource)(x), x.poster(), now)
	}
	return true
}

// Serve implements fetch.Exchange.
func (s *cacheSource) Serve(a fetch.Answer, fields []http1.Field) {
	x := (*exchange)(s)
	if x.held(&a, fields) {
		return
	}
	x.source, x.answered = s, true
	if !x.upload.body.Done || x.p.draining.Load() {
		x.client.keep = false
	}
	b, status, body := a.Append(x.f.loop.Out()[:0], fields, x.f.loop.Now())
	x.log.status, x.log.cache = status, a.Result()
	x.coder.Serve(b, body, a.Encodings(x.p.o.Cache, x.f.loop.Now()), s.send)
}

// send sends the head, without the empty line, and the body of what is stored.
func (s *cacheSource) send(b, body []byte) {
	x := (*exchange)(s)
	if x.isHead {
		body = nil
	}
	b = append(x.client.appendConnection(x.route.Fields.Rewrite(b)), "\r\n"...)
	x.client.heads += int64(len(b))
	first := body[:min(len(body), maxServed)]
	x.stored = body[len(first):]
	if x.client.passStored(b, first) {
		s.clientReady()
	}
}

// held reports whether the request is kept open, as its client has the answer; then the exchange has ended.
func (x *exchange) held(a *fetch.Answer, fields []http1.Field) bool {
	f, c, conn, now := x.f, &x.client, x.client.conn, x.f.loop.Now()
	if x.p.o.Held == nil || c.out != nil || len(c.early) > 0 || !x.upload.body.Done || x.p.draining.Load() {
		return false
	}
	if c.touched { // mostly by the body, which has been read
		_, err := conn.Peek(f.loop.In()[:1])
		c.touched = err != park.ErrAgain
	}
	d := x.p.o.Cache.HoldFor(a, &fetch.HoldQuery{Client: c.from.Addr(), Fields: fields, IsHead: x.isHead, Before: x.was}, now)
	if d <= 0 || c.touched {
		return false
	}
	q := heldpoll.Request{Fields: fields, Entry: a.Entry, Of: &heldRequest{x.p, admit.Verdict{Route: x.route, User: c.user}}, Began: x.log.started, For: d}
	q.Key, q.Head, q.Body = a.Request()
	return x.p.o.Held.Hold(conn, f, &q, now, x.release)
}

// heldRequest is what was decided about a poll, and by what.
type heldRequest struct {
	p *generation
	admit.Verdict
}

// PollEnded implements heldpoll.Owner.
func (f *Front) PollEnded(c *park.Conn, p *heldpoll.Poll, more bool) {
	h, of := &f.head, p.Of.(*heldRequest)
	if of.p != f.p { // a reload: what was decided, and by which app, may be over
		f.enter(c, p.Head, p.Body, more, nil, p)
		return
	}
	if h.Parse(p.Head, http1.Limits{Bytes: len(p.Head), Fields: of.p.o.HeaderFields}) != nil { // it was let in before
		c.Close()
		return
	}
	f.forward(of.p, c, &of.Verdict, h, f.readRequest(of.p, c, h), p.Body, more, p)
}

const maxServed = 128 << 10 // bytes of a stored body that are passed at once

// Await implements fetch.Exchange.
func (s *cacheSource) Await(d time.Duration) {
	s.source = s
	s.client.conn.SetDeadline(d)
}

// Ask implements fetch.Exchange.
func (s *cacheSource) Ask(head, body []byte) {
	x, h := (*exchange)(s), &s.f.head
	x.change, x.log.cache = x.fetch.Change(), x.fetch.Result()
	x.client.conn.SetDeadline(0)
	if r := h.Parse(head, http1.Limits{Bytes: len(head), Fields: x.p.o.HeaderFields + 2}); r != nil { // it was let in before
		x.finishWith(r.Status, r)
		return
	}
	x.start(h, x.f.readRequest(x.p, x.client.conn, h), body)
}

// poster returns what posts to the loop of the exchange; see fetch.Fetch.Begin. Any goroutine may call that, when the exchange
// may have another request.
func (x *exchange) poster() func(f func(live bool, now time.Time)) bool {
	loop, ifCurrent := x.f.loop, x.ifCurrent()
	return func(f func(live bool, now time.Time)) bool {
		return loop.Post(func() {
			if !ifCurrent(func() { f(true, loop.Now()) }) {
				f(false, loop.Now())
			}
		})
	}
}

// start implements source.
func (*cacheSource) start(*http1.Head, *request.Request, []byte) {}

// bodyReady implements source: the key has the body.
func (s *cacheSource) bodyReady() {
	x := (*exchange)(s)
	u, in := &x.upload, x.f.loop.In()
	for !u.body.Done {
		n, ok := u.read(in)
		if !ok {
			return
		}
		u.gathered = append(u.gathered, in[:n]...)
	}
	x.fetch.BodyRead(u.gathered)
	u.gathered = u.gathered[:0]
	x.fetch.Begin(s, x.poster(), x.f.loop.Now())
}

// clientReady implements source.
func (s *cacheSource) clientReady() {
	x := (*exchange)(s)
	for turn := 0; x.answered && x.client.out == nil && x.passed(); turn++ { // or else the body is being compressed
		switch n := min(len(x.stored), maxServed); {
		case n == 0:
			x.complete()
			return
		case turn == maxTurns:
			x.later(s.clientReady)
			return
		default:
			piece := x.stored[:n]
			if x.stored = x.stored[n:]; !x.client.passStored(nil, piece) {
				return
			}
		}
	}
}

// close implements source.
func (*cacheSource) close() {}

// replaced reports whether the app's response, of which this is the head, goes no further, as what is stored stands for it.
// bodyless says that it has no more than the head.
func (x *exchange) replaced(a *http1.Answer, bodyless bool) bool {
	if x.fetch == nil {
		return false
	}
	if a.Status == 304 && x.fetch.Asks() {
		x.page.Head(a) // the tag of what is stored is the page's
	}
	instead := x.fetch.Replace(a, x.f.loop.Now())
	if instead == nil {
		return false
	}
	x.leaveApp(bodyless)
	x.later(instead) // not within the reading of the response
	return true
}

// failedOver reports whether something that is stored answers a request that the app does not.
func (x *exchange) failedOver() bool {
	if x.fetch == nil || x.client.begun {
		return false
	}
	instead := x.fetch.Instead(x.f.loop.Now())
	if instead != nil {
		x.source.close()
		x.coder, x.client.rest = x.coder.Again(), nil
		instead()
	}
	return instead != nil
}

// closeFetch ends the part of those who read the response besides the client: who waits for it in the cache is told.
func (x *exchange) closeFetch() {
	x.push.Close()
	x.fetch.Close(x.answered, x.f.loop.Now())
	x.change.Close(!x.app.asked.IsZero())
	x.fetch, x.change = nil, nil
}
