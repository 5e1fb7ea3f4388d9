// Package heldpoll keeps requests open that could be answered from memory, until there is another answer: a plain poll becomes
// a long poll, without the app or the page knowing of it. A held poll costs its slot, a struct and a copy of the request: no
// goroutine, no timer, and nothing of the exchange that it was.
//
// A poll ends once, by one of
//
//   - a change of the answer, as cache.Store tells: the request is made anew
//   - its deadline, or the end of the answer's freshness: the same
//   - something that the client sends, or half-closes soon: the same
//   - the client going away: its owner ends it
//   - the shutdown: the request is made anew, and not held
//   - a take-over: the request is made anew, by the other process
//
// A request that is made anew is looked up as if it had just come, so whatever has happened meanwhile, such as a logout, counts.
package heldpoll

import (
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/throttle"
)

// Owner makes the requests of polls anew.
type Owner interface {
	// PollEnded takes the connection back, on its loop, with the request that it has sent. more means that further bytes may
	// wait.
	PollEnded(c *park.Conn, p *Poll, more bool)
}

// End is why a poll has ended.
type End uint8

// The ends.
const (
	Changed  End = iota // what it was held for does not answer it any more
	TimedOut            // its time is over, or that of the answer
	Spoke               // the client has sent something
	Gone                // the client has gone away
	Drained             // by the shutdown
	Moved               // another process has it
	ends
)

var endTexts = [ends]string{"changed", "timeout", "client_sent", "client_gone", "drain", "taken_over"}

// String returns the label of an end in metrics.
func (e End) String() string { return endTexts[e] }

// Polls is what the held polls of all loops share. Any goroutine may call it.
type Polls struct {
	o     Options
	bytes atomic.Int64
	n     atomic.Int64
	ended [ends]atomic.Int64
	full  throttle.Throttle
}

// Options are the properties of Polls.
type Options struct {
	Store     *cache.Store
	MaxBytes  int64         // of all requests that are held, with their structs
	HalfClose time.Duration // how long after its request a client may end its side and still get the response
	Log       *slog.Logger
}

// New returns a Polls without any.
func New(o Options) *Polls { return &Polls{o: o} }

// Poll is a request that is held. It implements park.Handler and cache.Waiter. Its loop uses it.
type Poll struct {
	all   *Polls
	owner Owner
	loop  *park.Loop
	conn  park.Ref
	watch *cache.Watch // nil: it was woken, or has ended
	over  bool

	Head, Body []byte    // of the request: the head as it came, and the whole body, without chunks
	Of         any       // what else its owner has to know, as in Request
	Until      time.Time // it is held no longer
	Had        uint64    // the sum of the answer that its client has
	Began      time.Time // when the request came
	Gone       bool      // so is the client
}

// pollCost is what a poll takes besides its request: its struct, that of its watch, and what rounds them up.
const pollCost = 320

// Request is a request that is to be held. What it points to is copied, or read during the call only.
type Request struct {
	Key        cache.Key
	Fields     []http1.Field
	Entry      *cache.Entry // that the client has
	Head, Body []byte
	Of         any
	Began      time.Time     // when it came
	For        time.Duration // how long it is held at most
}

// Hold takes a client's connection over, after release has given back what its request has had. It returns false, and has done
// nothing, if the entry does not answer the request any more, or if there is no room.
func (a *Polls) Hold(c *park.Conn, owner Owner, q *Request, now time.Time, release func()) bool {
	size := int64(len(q.Head)+len(q.Body)) + pollCost
	if a.bytes.Add(size) > a.o.MaxBytes {
		a.bytes.Add(-size)
		if total, due := a.full.Due(now); due {
			a.o.Log.Warn("poll answered at once instead of being held: no memory left; see cache_limits.held_size", "limit", a.o.MaxBytes, "total", total)
		}
		return false
	}
	raw := append(append(make([]byte, 0, len(q.Head)+len(q.Body)), q.Head...), q.Body...)
	n := len(q.Head)
	p := &Poll{
		all: a, owner: owner, loop: c.Loop(), conn: c.Ref(),
		Head: raw[:n:n], Body: raw[n:], Of: q.Of, Until: now.Add(q.For), Had: q.Entry.Sum(), Began: q.Began,
	}
	if p.watch = a.o.Store.Watch(q.Key, q.Fields, q.Entry, p, now); p.watch == nil {
		a.bytes.Add(-size)
		return false
	}
	a.n.Add(1)
	wait := min(q.For, q.Entry.TTL(now))
	release()
	c.Hold(p)
	c.SetDeadline(wait)
	return true
}

// Was returns until when a request may be held, and for which answer it was. Without a poll it was not held.
func (p *Poll) Was() (until time.Time, had uint64) {
	if p == nil {
		return until, 0
	}
	return p.Until, p.Had
}

// Wake implements cache.Waiter: what the client has is not the answer any more. Any goroutine may call it.
func (p *Poll) Wake(cache.Result) {
	p.conn.Post(p.loop, func(c *park.Conn) {
		if !p.over {
			p.watch = nil
			p.end(c, Changed, false)
		}
	})
}

// heard returns an event with what TLS makes of it: a record may have no data, or be the end.
func heard(c *park.Conn, ev park.Event) park.Event {
	if c.Layer() == nil || ev&(park.Readable|park.HangUp) != park.Readable {
		return ev
	}
	var b [1]byte
	switch _, err := c.Peek(b[:]); err {
	case nil:
	case park.ErrAgain:
		ev &^= park.Readable
	case io.EOF:
		ev |= park.HangUp
	default:
		ev |= park.HangUp | park.Broken
	}
	return ev
}

// Ready implements park.Handler.
func (p *Poll) Ready(c *park.Conn, ev park.Event) {
	ev = heard(c, ev)
	switch now := p.loop.Now(); {
	case ev&park.HangUp != 0 && (ev&park.Broken != 0 || now.Sub(p.Began) >= p.all.o.HalfClose):
		p.Gone = true
		p.end(c, Gone, false)
	case ev&(park.HangUp|park.Readable) != 0: // it waits for this response before the next one, or has nothing to wait for
		p.Until = now
		p.end(c, Spoke, true)
	case ev&park.Expired != 0:
		p.end(c, TimedOut, false)
	}
}

// Drain ends the poll because of the shutdown.
func (p *Poll) Drain(c *park.Conn) {
	p.Until = p.loop.Now()
	p.end(c, Drained, false)
}

// Forget ends the poll because another process has the connection, and makes its request anew.
func (p *Poll) Forget() { p.stop(Moved) }

// end has the request made anew.
func (p *Poll) end(c *park.Conn, why End, more bool) {
	p.stop(why)
	c.SetDeadline(0)
	p.owner.PollEnded(c, p, more)
}

// stop gives back what the poll has.
func (p *Poll) stop(why End) {
	p.over = true
	if p.watch != nil {
		p.all.o.Store.Unwatch(p.watch)
		p.watch = nil
	}
	p.all.bytes.Add(-int64(len(p.Head)+len(p.Body)) - pollCost)
	p.all.n.Add(-1)
	p.all.ended[why].Add(1)
}

// Stats are counts for metrics.
type Stats struct {
	Held, Bytes int64            // at present
	Ended       map[string]int64 // polls, by why
	Refused     int64            // polls for which there was no room
}

// Stats returns what was held, and is.
func (a *Polls) Stats() Stats {
	s := Stats{Held: a.n.Load(), Bytes: a.bytes.Load(), Ended: map[string]int64{}, Refused: a.full.Total()}
	for e := range ends {
		s.Ended[e.String()] = a.ended[e].Load()
	}
	return s
}
