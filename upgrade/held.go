package upgrade

import (
	"context"
	"log/slog"

	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/request"
	"holdfast/internal/sendqueue"
	"holdfast/internal/session"
)

const (
	maxEarly   = 16 << 10 // bytes of the next request that are stored during a long poll
	maxChatter = 16 << 10 // bytes at once from a client that has nothing to send
)

// held is one held connection: its membership, its send queue and its lifecycle. While it is idle, most pointers are
// nil. Its dialect decides what it sends and reads. It stays a small struct; everything runs on its connection's loop.
type held struct {
	membership hub.Membership
	k          *Keeper
	c          *park.Conn
	form       *form
	queue      *sendQueue              // queued until the kernel accepts it; nil while it is empty
	session    *session.Session[*held] // user, token and authorization; nil without these and without an observer
	state      any                     // of the dialect; nil while not needed

	pace     receive.Pace // of the client's sending
	pinged   bool         // no data from the client since the last heartbeat
	stalled  bool         // the queue did not move since the last heartbeat
	answered bool         // the response is complete, and the channels are left; the queue is still being sent
	readAll  bool         // everything announced by events has been read
	paused   bool         // not to be read until unpause
}

var (
	_ hub.Subscriber = (*held)(nil)
	_ park.Handler   = (*held)(nil)
)

// Membership returns the connection's place in the hub: its group and its position.
func (x *held) Membership() *hub.Membership { return &x.membership }

// Socket returns the connection's socket.
func (x *held) Socket() *park.Conn { return x.c }

func (x *held) lane() *hub.Lane { return x.k.o.Hub.Lane(x.c.Loop().Index) }

// begin takes the connection on its loop, joins the channels and then sends the first bytes.
func (x *held) begin(c *park.Conn, s *Spec) {
	x.c = c
	c.Hold(x)
	x.form.open.Add(1)
	if s.Client.IsValid() && s.Client != c.RemoteAddr() {
		x.k.index.SetClient(x, s.Client)
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
	if s.Silence > 0 {
		x.await(s.Silence)
	}
	if x.k.draining.Load() { // the shutdown began after the decision
		x.form.drain(x)
		return
	}
	// Bytes may have arrived before the hold; no other event announces them.
	if len(s.Rest) == 0 || x.form.read(x, s.Rest) {
		x.read()
	}
}

// beginStream sends the first bytes of a stream, and the messages that the client has missed. These are in history
// anyway, so they do not count towards the send queue.
func (x *held) beginStream(b []byte, replay hub.Replay) {
	x.await(session.Spread(x.k.live().Heartbeat))
	if x.send(b, false) && len(replay.Messages) > 0 {
		x.form.deliver(x, replay.Messages, false)
	}
}

// Ready handles the events of the socket.
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

// tick handles the deadline, which is mostly that of the heartbeat.
func (x *held) tick() {
	if x.tokenEnded() || x.expired() {
		return
	}
	switch {
	case x.queue != nil && x.stalled:
		x.end(ending.Slow)
	case x.queue != nil:
		x.stalled = true
		x.await(x.k.stall())
	case x.k.live().Heartbeat <= 0 && !x.form.asksAgain(): // the deadline was that of a queue
		x.await(0)
	case x.form.heartbeat(x):
		x.await(x.k.live().Heartbeat)
	}
}

// Deliver implements hub.Subscriber: it sends messages, by growing ID.
func (x *held) Deliver(batch []*hub.Message) {
	step(x, func() {
		if !x.tokenEnded() { // the token may have expired before the deadline's event
			x.form.deliver(x, batch, true)
		}
	})
}

// step runs f, and ends the connection if f panics: it may have missed a message, and the hub must not keep a
// subscriber whose descriptor the loop is about to close, and may reuse.
func step(x *held, f func()) {
	whole := false
	defer func() {
		if !whole && !x.answered && x.c.Handler() == park.Handler(x) {
			x.end(ending.InternalFailure)
		}
	}()
	f()
	whole = true
}

// ifHeld returns a function that runs f as a step, on the connection's loop, if the connection is still held then.
func ifHeld(x *held, f func()) func() {
	ref := x.c.Ref()
	return func() {
		if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(x) {
			step(x, f)
		}
	}
}

// sendBatch sends messages, by growing ID. counted means that they count towards the send queue.
func (x *held) sendBatch(batch []*hub.Message, counted bool) {
	for len(batch) > 0 {
		b, n := sendqueue.Together(batch, x.form.encoding(), x.c.Loop().Out(), x.queue != nil)
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

// keep queues the part of a batch that the kernel did not accept. It reports whether the connection stays open.
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

// leave takes the connection out of its channels and counts the reason. The caller closes the socket.
func (x *held) leave(why ending.Reason) {
	x.ended(why.String(), func() { x.lane().Leave(x) })
	x.dropSession()
	x.form.open.Add(-1)
	x.k.stats.drop(why)
	x.queue = x.queue.release()
	if x.k.o.Log.Enabled(context.Background(), slog.LevelDebug) { // otherwise its arguments are computed for nothing
		x.k.o.Log.Debug("connection closed", "transport", x.form.transport(), "reason", why.String(), "client", x.client())
	}
	x.k.index.Forget(x)
}

// end leaves and closes.
func (x *held) end(why ending.Reason) {
	if x.answered {
		x.queue = x.queue.release()
	} else {
		x.leave(why)
	}
	x.form.release(x)
	if why == ending.ClientGone {
		x.c.Close()
	} else {
		x.c.Abort()
	}
}

// finish leaves the channels, completes the frame or event that has begun, sends last and ends the connection.
func (x *held) finish(last []byte, why ending.Reason) {
	var begun []byte
	if x.queue != nil {
		begun = x.queue.Begun()
	}
	c, k := x.c, x.k
	x.leave(why)
	x.form.release(x)
	sendqueue.Finish(c, begun, last, &k.stats.SendQueue)
}

// client returns the client's address for the log: as in the access log, not that of a trusted proxy. It has a port
// only if that is known.
func (x *held) client() string {
	a := x.k.index.Client(x)
	if !a.IsValid() {
		a = x.c.RemoteAddr()
	}
	return request.AddrText(a)
}
