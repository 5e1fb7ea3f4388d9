package upgrade

import (
	"context"
	"log/slog"

	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/request"
	"holdfast/internal/sendqueue"
	"holdfast/internal/session"
)

const (
	maxEarly   = 16 << 10 // bytes of a next request that are kept during a long poll
	maxChatter = 16 << 10 // bytes at once where the client has nothing to say
)

// held is one held connection: its membership, what waits for it, and its lifecycle; and nil pointers while it is idle.
// What it sends and reads is its dialect's. It stays a small plain struct; everything runs on its connection's loop.
type held struct {
	membership hub.Membership
	k          *Keeper
	c          *park.Conn
	form       *form
	queue      *sendQueue              // what the kernel would not take; nil in between
	session    *session.Session[*held] // who it is; nil if it is nobody's and nobody wants to know
	state      any                     // of the dialect; nil while it has none

	pace     receive.Pace // of what the client sends
	pinged   bool         // no sign of life since the last heartbeat
	stalled  bool         // the queue did not move since the last heartbeat
	answered bool         // it has left its channels; only the queue is left
	readAll  bool         // all that was told of has been read
	paused   bool         // not to be read until unpause
}

var (
	_ hub.Subscriber = (*held)(nil)
	_ park.Handler   = (*held)(nil)
)

// Membership is where the connection stands in its channels.
func (x *held) Membership() *hub.Membership { return &x.membership }

func (x *held) lane() *hub.Lane { return x.k.o.Hub.Lane(x.c.Loop().Index) }

// begin takes the connection on its loop, joins the channels and then sends the first bytes.
func (x *held) begin(c *park.Conn, s *Spec) {
	x.c = c
	c.Hold(x)
	x.form.open.Add(1)
	if s.Client.IsValid() && s.Client != c.RemoteAddr() {
		x.index().clients[x] = s.Client
	}
	var replay hub.Replay
	if s.Resume.Newest > 0 {
		replay = x.lane().JoinNewest(x, s.Channels, s.Newest)
	} else {
		replay = x.lane().Join(x, s.Channels, s.Resume.ID, s.Resume.HasID)
	}
	x.initSession(s)
	x.begun()
	gone := c.Ref()
	x.form.begin(x, s, replay)
	if c, ok := gone.Conn(); !ok || c.Handler() != park.Handler(x) {
		return
	}
	if x.k.draining.Load() { // since it was decided
		x.form.drain(x)
		return
	}
	// Bytes may have come before the hold, and their event is past.
	if len(s.Rest) == 0 || x.form.read(x, s.Rest) {
		x.read()
	}
}

// beginStream sends the first bytes of a stream, and what the client has missed. History has that anyway, so it does not
// count as what a slow reader has waiting.
func (x *held) beginStream(b []byte, replay hub.Replay) {
	x.await(jitter(x.k.o.Heartbeat))
	if x.send(b, false) && len(replay.Messages) > 0 {
		x.form.deliver(x, replay.Messages, false)
	}
}

// Ready is told what happens on the socket.
func (x *held) Ready(c *park.Conn, ev park.Event) {
	step(x, func() { x.ready(ev) })
}

func (x *held) ready(ev park.Event) {
	if ev&park.Expired != 0 {
		x.tick()
		return
	}
	if ev&park.Readable != 0 {
		x.readAll = false
	}
	if ev&park.Writable != 0 && x.queue != nil && !x.flush() {
		return
	}
	if ev&park.Readable != 0 {
		x.read()
	}
}

// tick is called when the deadline has passed: that of the heartbeat, most often.
func (x *held) tick() {
	if x.tokenEnded() {
		return
	}
	if x.queue != nil {
		if x.stalled {
			x.end(slow)
			return
		}
		x.stalled = true
		x.await(x.k.o.Heartbeat)
		return
	}
	if !x.expired() && x.form.heartbeat(x) {
		x.await(x.k.o.Heartbeat)
	}
}

// Deliver hands over messages, by growing id.
func (x *held) Deliver(batch []*hub.Message) {
	step(x, func() {
		if !x.tokenEnded() { // the loop may come to it before the deadline does
			x.form.deliver(x, batch, true)
		}
	})
}

// step runs f, and ends the connection if f panics: it may miss something, and the hub must not keep a subscriber whose
// socket the loop is about to close, and give to somebody else.
func step(x *held, f func()) {
	whole := false
	defer func() {
		if !whole && !x.answered && x.c.Handler() == park.Handler(x) {
			x.end(internalFailure)
		}
	}()
	f()
	whole = true
}

// ifHeld returns what runs f as a step, on the connection's loop, if it is still held then.
func ifHeld(x *held, f func()) func() {
	ref := x.c.Ref()
	return func() {
		if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(x) {
			step(x, f)
		}
	}
}

// sendBatch sends messages, by growing ID. counted says that they count as what a slow reader has waiting.
func (x *held) sendBatch(batch []*hub.Message, counted bool) {
	for len(batch) > 0 {
		b, n := x.form.together(batch, x.c.Loop().Out(), x.queue != nil)
		taken, ok := x.write(b)
		if !ok {
			return
		}
		if taken == len(b) && x.queue == nil {
			for _, m := range batch[:n] {
				m.Delivered()
			}
		} else if !x.keep(batch[:n], taken, counted) {
			return
		}
		batch = batch[n:]
	}
}

// keep lets wait what was not taken of messages that were sent together. It reports whether the connection goes on.
func (x *held) keep(batch []*hub.Message, taken int, counted bool) bool {
	for _, m := range batch {
		b := x.form.render(m)
		if taken >= len(b) {
			taken -= len(b)
			m.Delivered()
			continue
		}
		if !x.enqueue(sendqueue.Item{Bytes: b, Message: m, Shared: true, Counted: counted}, taken) {
			return false
		}
		m.Queued()
		taken = 0
	}
	return true
}

// leave takes the connection out of its channels and counts why. The socket is the caller's.
func (x *held) leave(why closeReason) {
	x.ended(why.String(), func() { x.lane().Leave(x) })
	x.dropSession()
	x.form.open.Add(-1)
	x.k.stats.drop(why)
	x.queue = x.queue.release()
	if x.k.o.Log.Enabled(context.Background(), slog.LevelDebug) { // else its arguments are made for nothing
		x.k.o.Log.Debug("connection closed", "transport", x.form.transport(), "reason", why.String(), "client", x.client())
	}
	delete(x.index().clients, x)
}

// end leaves and closes.
func (x *held) end(why closeReason) {
	if x.answered {
		x.queue = x.queue.release()
	} else {
		x.leave(why)
	}
	x.form.release(x)
	if why == clientGone {
		x.c.Close()
	} else {
		x.c.Abort()
	}
}

// finish leaves the channels, completes the frame or event that has begun, sends last and ends the connection.
func (x *held) finish(last []byte, why closeReason) {
	var begun []byte
	if x.queue != nil {
		begun = x.queue.Begun()
	}
	c, k := x.c, x.k
	x.leave(why)
	x.form.release(x)
	sendqueue.Finish(c, begun, last, &k.stats.sendQueue)
}

// client returns the address of who has sent the connection's request, for the log: as in the access log, not the proxy's in
// front. It has a port only if that is known.
func (x *held) client() string {
	a, proxied := x.index().clients[x]
	if !proxied {
		a = x.c.RemoteAddr()
	}
	return request.AddrText(a)
}
