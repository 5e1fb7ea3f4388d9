package upgrade

import (
	"context"
	"log/slog"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

const (
	maxEarly   = 16 << 10 // bytes of a next request that are kept during a long poll
	maxChatter = 16 << 10 // bytes at once where the client has nothing to say
)

// held is one held connection: what it is, where it stands, and nil pointers while it is idle. It stays
// a small plain struct; everything runs on its connection's loop.
type held struct {
	stand hub.Membership
	k     *Keeper
	c     *park.Conn
	out   *outbox // what the kernel would not take; nil in between
	in    *frames // an unfinished frame or message of a WebSocket; nil in between
	rest  []byte  // long poll: bytes of the next request
	// Fields for the head of the response, as lines.
	fields string

	session *session // who it is; nil if it is nobody's and nobody wants to know
	speech  *speech  // nil unless the client has spoken, or may about what needs its login

	wait     int32 // long poll: milliseconds; else what the client has sent is paid for at this time, see lead
	kind     kind
	v1       bool // WebSocket or SSE with the subprotocol
	http10   bool
	close    bool // long poll: no further request on this connection
	pinged   bool // no sign of life since the last heartbeat
	stalled  bool // the outbox did not move since the last heartbeat
	answered bool // long poll: only the outbox is left
	drained  bool // all that was told of has been read
	paused   bool // not to be read until unpause
	compress bool // WebSocket: permessage-deflate was agreed on; long poll: gzip is accepted
}

var (
	_ hub.Subscriber = (*held)(nil)
	_ park.Handler   = (*held)(nil)
)

// Place is where the connection stands in its channels.
func (x *held) Membership() *hub.Membership { return &x.stand }

func (x *held) lane() *hub.Lane { return x.k.o.Hub.Lane(x.c.Loop().Index) }

// begin takes the connection on its loop, joins the channels and then sends the first bytes.
func (x *held) begin(c *park.Conn, v *visit) {
	x.c = c
	c.Hold(x)
	x.k.stats.held[x.kind].Add(1)
	var replay hub.Replay
	if n := v.after.last; n > 0 {
		replay = x.lane().JoinLast(x, v.join, n)
	} else {
		replay = x.lane().Join(x, v.join, v.after.id, v.after.resume)
	}
	x.know(v)
	x.begun()
	if x.kind == longPoll {
		x.rest = v.req.Rest // of the next request; it may be answered at once
		x.k.stats.inbound.Add(int64(len(x.rest)))
	}
	gone := c.Ref()
	switch x.kind {
	case webSocket:
		x.beginWebSocket(v.written, replay)
	case sse:
		x.beginSSE(replay)
	case longPoll:
		x.beginLongPoll(replay)
	}
	if c, ok := gone.Conn(); !ok || c.Handler() != park.Handler(x) {
		return
	}
	if x.k.draining.Load() { // since it was decided
		x.drain()
		return
	}
	if x.endedMeanwhile(v.asked) {
		return
	}
	// Bytes may have come before the hold, and their event is past.
	switch {
	case x.kind == webSocket && len(v.req.Rest) > 0:
		if !x.frames(v.req.Rest) {
			x.k.stats.inbound.Add(int64(len(x.rest)))
			return
		}
	}
	x.read()
}

// Ready is told what happens on the socket.
func (x *held) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		x.tick()
		return
	}
	if ev&park.Readable != 0 {
		x.drained = false
	}
	if ev&park.Writable != 0 && x.out != nil && !x.flush() {
		return
	}
	if ev&park.Readable != 0 {
		x.read()
	}
}

// tick is the heartbeat, or the end of a long poll's wait.
func (x *held) tick() {
	if x.tokenEnded() {
		return
	}
	if x.out != nil {
		if x.stalled {
			x.end(slow)
			return
		}
		x.stalled = true
		x.await(x.k.o.Heartbeat)
		return
	}
	if x.expired() {
		return
	}
	switch x.kind {
	case webSocket:
		if x.pinged && !x.paused {
			x.end(pongTimeout)
			return
		}
		x.pinged = true
		ping := pingFrame
		if x.v1 {
			ping = pingFrameV1
		}
		if !x.send(ping, true) {
			return
		}
	case sse:
		ping := sseHeartbeat
		if x.v1 {
			ping = ssePing
		}
		if !x.send(ping, true) {
			return
		}
	case longPoll:
		x.answer(nil, nil)
		return
	}
	x.await(x.k.o.Heartbeat)
}

// Deliver hands over messages, by growing id.
func (x *held) Deliver(batch []*hub.Message) {
	if !x.tokenEnded() { // the loop may come to it before the deadline does
		x.deliver(batch, true)
	}
}

// replay hands over what the client has missed. History has it anyway, so it does not count as what a slow reader
// has waiting.
func (x *held) replay(messages []*hub.Message) {
	if len(messages) > 0 {
		x.deliver(messages, false)
	}
}

func (x *held) deliver(batch []*hub.Message, counted bool) {
	if x.kind == longPoll {
		x.answer(batch, nil)
		return
	}
	for len(batch) > 0 {
		b, n := x.together(batch)
		taken, ok := x.write(b)
		if !ok {
			return
		}
		if taken == len(b) && x.out == nil {
			for _, m := range batch[:n] {
				m.Delivered()
			}
		} else if !x.keep(batch[:n], taken, counted) {
			return
		}
		batch = batch[n:]
	}
}

// together returns the first messages of a batch as they are sent, in the loop's buffer if they are several, and how
// many they are.
func (x *held) together(batch []*hub.Message) (b []byte, n int) {
	b = x.render(batch[0])
	if len(batch) == 1 || x.out != nil {
		return b, 1
	}
	buf := x.c.Loop().Out()[:0]
	for n < len(batch) {
		r := x.render(batch[n])
		if len(buf)+len(r) > cap(buf) {
			break
		}
		buf = append(buf, r...)
		n++
	}
	if n < 2 {
		return b, 1
	}
	return buf, n
}

// keep lets wait what was not taken of messages that were sent together. It reports whether the connection goes on.
func (x *held) keep(batch []*hub.Message, taken int, counted bool) bool {
	for _, m := range batch {
		b := x.render(m)
		if taken >= len(b) {
			taken -= len(b)
			m.Delivered()
			continue
		}
		w := waiting{b: b, m: m, shared: true}
		if counted {
			w.cost = int32(len(b) + waitingCost)
		}
		if !x.enqueue(w, taken) {
			return false
		}
		m.Queued()
		taken = 0
	}
	return true
}

// drain ends the connection politely because Holdfast goes down.
func (x *held) drain() {
	switch x.kind {
	case webSocket:
		x.closeWith(1001, "going down", draining)
	case sse:
		x.finish(retryHint(), draining)
	case longPoll:
		x.close = true
		x.answer(nil, nil)
	}
}

// leave takes the connection out of its channels and counts why. The socket is the caller's.
func (x *held) leave(why dropReason) {
	x.leaveChannels(why)
	x.k.stats.held[x.kind].Add(-1)
	x.k.stats.drop(why)
	x.dropOutbox()
	x.dropFrames()
	x.dropSpeech()
	if x.k.o.Log.Enabled(context.Background(), slog.LevelDebug) { // else its arguments are made for nothing
		x.k.o.Log.Debug("hold ended", "kind", x.kind.String(), "reason", why.String(), "client", x.c.RemoteAddr())
	}
}

// end leaves and closes.
func (x *held) end(why dropReason) {
	x.dropRest()
	if x.answered {
		x.dropOutbox()
	} else {
		x.leave(why)
	}
	if why == clientGone {
		x.c.Close()
	} else {
		x.c.Abort()
	}
}
