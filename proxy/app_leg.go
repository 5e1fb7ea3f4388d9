package proxy

import (
	"fmt"
	"time"

	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/sendbuf"
)

// appLeg is the connection to the upstream, and how it was chosen.
type appLeg struct {
	x           *exchange
	source      appSource
	conn        *park.Conn      // nil before the request is passed on, and after the response is complete
	out         *sendbuf.Buffer // queued until the kernel accepts it for the upstream
	head        []byte          // of the request, until it can't be sent to another server any more
	partialHead []byte          // of a response

	server    *balance.Server // the chosen one, which counts the exchange; nil before
	name      string          // of the last server, after its release
	tried     uint64          // a bit for each server that was chosen
	addresses uint64          // a bit for each of the server's that was tried
	address   int             // the number of the one that is dialled
	sticky    int             // index of the server of the client's session; -1: any

	queued    bool // in the queue for a server
	connected bool
	reused    bool // the connection came from the pool
	retried   bool
	connLogin bool // the connection is logged in by its client; see balance.Bound
	keep      bool // the connection stays open after the response
	hung      bool // the upstream has closed its side; bytes may still be unread
	interim   int  // responses so far

	asked time.Time     // when the request was passed on; zero before
	sent  time.Time     // when the chosen server was asked
	took  time.Duration // from then to the end of its response
}

// bodyReady implements source: it collects the body before the request is sent to the app, and passes it on afterwards.
func (a *appLeg) bodyReady() {
	switch {
	case a.conn == nil && !a.x.answered && !a.queued:
		if !a.x.upload.file.Writing() {
			a.x.upload.collect()
		}
	case a.connected && a.conn != nil:
		a.pumpUp()
	}
}

// clientReady implements source.
func (a *appLeg) clientReady() {
	if a.connected && a.conn != nil && !a.x.client.full() {
		a.pumpDown()
	}
}

// close implements source.
func (a *appLeg) close() {
	a.hangUp()
	a.releaseServer()
	a.dequeue()
	sendbuf.Drop(&a.out)
}

// hangUp closes the connection, if there is one: with a reset if the app has only a part of the request, and must not
// process it as a complete one.
func (a *appLeg) hangUp() {
	switch {
	case a.conn == nil:
	case a.connected && (!a.x.upload.passedOn() || a.out != nil):
		a.conn.Abort()
	default:
		a.conn.Close()
	}
	a.conn = nil
}

// leave ends the app's part. With reuse, the connection is kept for further requests, unless an upload was not sent
// completely: the app would read the next request as the rest of it.
func (a *appLeg) leave(reuse bool) {
	if reuse && a.keep && !a.hung && a.x.upload.passedOn() && a.out == nil {
		a.giveBack()
		a.conn = nil
	}
	a.hangUp()
	a.name = a.server.String()
	a.releaseServer()
}

// begin chooses an upstream, or waits for one, and sends the request: the head, and the body received so far.
func (a *appLeg) begin(head, body []byte) {
	a.asked = a.x.f.loop.Now()
	if index, ok := a.x.f.bound.Server(a.x.client.conn.Ref(), a.x.route.Servers); ok {
		a.sticky = index
	}
	s, full := a.x.route.Servers.Choose(a.tried, a.sticky, a.asked)
	if s == nil && full {
		a.remember(head, body)
		a.enqueue()
		return
	}
	a.server = s
	a.ask(head, body)
}

// ask sends the request to the chosen server, on a pooled connection if possible.
func (a *appLeg) ask(head, body []byte) {
	if a.server == nil {
		a.x.fail(502, errNobody)
		return
	}
	a.tried |= 1 << a.server.Index
	a.addresses, a.sent = 0, a.x.f.loop.Now()
	if a.conn = a.pooledConn(); a.conn != nil {
		a.reused, a.connected, a.hung = true, true, false
		a.conn.Hold(a.x)
		if a.x.idempotent && a.x.upload.body.Done {
			a.remember(head, body) // to retry on a new connection
		}
		a.sendHead(head, body)
		return
	}
	a.remember(head, body)
	a.dial()
}

// pooledConn returns an idle connection to the chosen server, or nil: the client's own, or one of the loop's pool.
func (a *appLeg) pooledConn() *park.Conn {
	c, bound := a.x.f.bound.Get(a.x.client.conn.Ref(), a.server)
	a.connLogin = a.connLogin || bound
	if c == nil {
		c = a.server.Pool(a.x.f.loop).Get()
	}
	return c
}

// giveBack keeps the upstream connection for further requests: of any client, or, after a login, of this one.
func (a *appLeg) giveBack() {
	f := a.x.f
	switch {
	case !a.connLogin:
		a.server.Pool(f.loop).Put(a.conn, a.x.p.Idle)
	case a.x.client.trusted || !a.x.client.keep: // a trusted proxy sends requests of several clients on one connection
		a.notice(balance.ClosedLogin)
		a.conn.Close()
	default:
		a.notice(balance.BoundLogin)
		f.bound.Put(a.x.client.conn.Ref(), a.server, a.conn, a.x.p.o.PoolIdle)
	}
}

// notice counts an oddity of the server.
func (a *appLeg) notice(n balance.Notice) {
	a.x.p.Servers.Notice(a.server, n, a.x.route.Label(), a.x.f.loop.Now())
}

// noticeAll is notice for each oddity of a response.
func (a *appLeg) noticeAll(odd http1.Oddity) {
	if odd != 0 {
		a.x.p.Servers.NoticeAll(a.server, odd, a.x.route.Label(), a.x.f.loop.Now())
	}
}

// remember stores the head and the body for a new connection. Both may be stored already.
func (a *appLeg) remember(head, body []byte) {
	if len(a.head) == 0 {
		a.head = append(a.head, head...)
		a.x.upload.gathered = append(a.x.upload.gathered[:0], body...)
	}
}

func (a *appLeg) dial() {
	s := a.server
	address, number, err := s.DialAddress(a.addresses)
	if err == nil {
		a.address = number
		a.x.p.stats.Dialled.Add(1)
		a.conn, err = s.Dial(a.x.f.loop, address, a.x)
	}
	if err != nil {
		a.conn = nil
		a.unreachable(502, err)
		return
	}
	a.connected, a.reused, a.hung = false, false, false
	a.conn.SetDeadline(a.x.route.ConnectTime)
}

// unreachable tries the next address of the server's name, and then the next server: nothing was sent yet.
func (a *appLeg) unreachable(status int, err error) {
	p := a.x.f.p
	a.addresses |= 1 << a.address
	if _, _, none := a.server.DialAddress(a.addresses); none == nil {
		p.stats.Retries.Add(1)
		a.x.log.trace.Log(p.o.Log).Warn("upstream address not reached; trying the next", "upstream", a.server.String(), "error", err)
		a.hangUp()
		a.dial()
		return
	}
	a.next(status, err, "upstream not reached; trying the next")
}

// next sends the request to the next server, or fails if all were tried. event is the text for the log.
func (a *appLeg) next(status int, err error, event string) {
	p := a.x.f.p
	s, full := a.x.route.Servers.Choose(a.tried, -1, a.x.f.loop.Now())
	if s == nil && !full {
		a.x.fail(status, err)
		return
	}
	p.Servers.Failed(a.server, a.x.f.loop.Now())
	p.stats.Retries.Add(1)
	a.x.log.trace.Log(p.o.Log).Warn(event, "upstream", a.server.String(), "error", err)
	a.hangUp()
	a.partialHead, a.retried = a.partialHead[:0], false
	a.source.restart()
	sendbuf.Drop(&a.out)
	a.releaseServer()
	if full {
		a.enqueue()
		return
	}
	a.server = s
	a.ask(a.head, a.x.upload.gathered)
}

func (a *appLeg) ready(ev park.Event) {
	if !a.connected {
		a.dialled(ev)
		return
	}
	if ev&park.Expired != 0 {
		switch {
		case a.x.client.full(): // the client is slow, not the upstream
			a.conn.SetDeadline(a.x.route.UpstreamTime)
		case !a.x.upload.body.Done && a.out == nil: // the client has not sent the whole body yet
			a.conn.SetDeadline(a.x.route.UpstreamTime)
		default:
			a.unanswered(504, fmt.Errorf("response: %w", errTimeout), a.x.p.o.NextTimeout)
		}
		return
	}
	if ev&park.HangUp != 0 {
		a.hung = true
	}
	if ev&park.Readable != 0 {
		a.pumpDown()
	}
	if ev&park.Writable != 0 && a.conn != nil && a.out != nil {
		a.pumpUp()
	}
}

func (a *appLeg) dialled(ev park.Event) {
	if ev&park.Expired != 0 {
		a.unreachable(504, fmt.Errorf("connect: %w", errTimeout))
		return
	}
	switch err := a.conn.DialError(); {
	case err == park.ErrAgain:
	case err != nil:
		a.unreachable(502, err)
	default:
		a.connected = true
		a.server.Reached(a.address)
		a.hung = ev&park.HangUp != 0
		a.sendHead(a.head, a.x.upload.gathered)
		if a.conn != nil && a.connected && ev&(park.Readable|park.HangUp) != 0 {
			a.pumpDown() // bytes, or the end, that arrived before the request cause no other event
		}
	}
}
