package upgrade

import (
	"bytes"

	"holdfast/internal/channel"
	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/sendqueue"
)

// sendQueue has the bytes and messages that wait until the kernel accepts them for a slow client.
type sendQueue struct {
	sendqueue.Queue
	reported bool // the log has a line about dropped messages

	pongs [pongKinds][]byte // response to the newest ping of each kind
}

// Kinds of pongs: a control frame, and one of the subprotocol.
const (
	controlPong = iota
	framePong
	pongKinds
)

// release releases the queue and returns nil, as the connection's new value.
func (q *sendQueue) release() *sendQueue {
	if q != nil {
		q.Release()
	}
	return nil
}

// pong responds to a ping. If the client does not read, only the newest of each kind gets a response (RFC 6455 §5.5.3).
func (x *held) pong(kind int, b []byte) bool {
	if x.queue != nil {
		x.queue.pongs[kind] = b
		return true
	}
	return x.send(b, kind == framePong)
}

// send writes or queues b. shared means that b is never changed. It reports whether the connection stays open.
func (x *held) send(b []byte, shared bool) bool {
	return x.sendItem(sendqueue.Item{Bytes: b, Shared: shared, Counted: true})
}

// sendItem is send for an item that may not count towards the send queue.
func (x *held) sendItem(i sendqueue.Item) bool {
	n, ok := x.write(i.Bytes)
	if !ok || n == len(i.Bytes) {
		return ok
	}
	if !i.Shared {
		i.Bytes, n = bytes.Clone(i.Bytes[n:]), 0
	}
	return x.enqueue(i, n)
}

// write writes b, unless queued bytes come first. It returns how much was written, and whether the connection stays
// open.
func (x *held) write(b []byte) (n int, ok bool) {
	if x.queue != nil {
		return 0, true
	}
	n, err := x.c.Write(b)
	if err != nil && err != park.ErrAgain {
		x.end(ending.ClientGone)
		return n, false
	}
	return n, true
}

// enqueue queues an item of which n bytes were written. It reports whether the connection stays open.
func (x *held) enqueue(i sendqueue.Item, n int) bool {
	if x.queue == nil { // the rest of one item is always queued
		x.queue, x.stalled = &sendQueue{Queue: sendqueue.New(loopOf(x).queues, i, n)}, false
		if x.k.live().Heartbeat <= 0 && !x.answered {
			x.await(x.k.stall())
		}
	} else {
		g := x.membership.Group()
		superseded, dropped, ok := x.queue.Admit(i, g, x.k.live().SendQueue, func(m *hub.Message) channel.Slow {
			return x.k.live().Rules.SlowPolicy(g.Of(m), x.form.canGap())
		})
		x.reportDropped(superseded, channel.LatestOnly)
		if x.reportDropped(dropped, channel.DropOldest); !ok {
			x.closeSlow("push.send_queue")
			return false
		}
	}
	if x.k.stats.SendQueue.Load() > x.k.live().SendQueueTotal {
		x.closeSlow("push.send_queue_total")
		return false
	}
	return true
}

// reportDropped counts dropped messages, and logs the first while the queue exists.
func (x *held) reportDropped(n int, p channel.Slow) {
	if p == channel.LatestOnly {
		x.k.stats.Superseded.Add(int64(n))
	} else {
		x.k.stats.DroppedOldest.Add(int64(n))
	}
	if n > 0 && !x.queue.reported {
		x.queue.reported = true
		x.k.o.Log.Info("messages dropped for a slow subscriber", "policy", string(p),
			"transport", x.form.transport(), "client", x.client())
	}
}

func (x *held) closeSlow(limit string) {
	x.k.o.Log.Info("connection closed: send queue is full", "transport", x.form.transport(), "queued", x.queue.Size(), "client", x.client(), "limit", limit)
	x.end(ending.Slow)
}

// gaps renders the gaps for a message that was dropped, on each channel that the client misses it on.
func gaps(x *held, m *hub.Message) (b []byte) {
	for name := range x.membership.Group().Of(m) {
		b = append(b, x.form.gap(hub.Gap{Channel: name, Through: m.ID})...)
	}
	return b
}

// flush writes what is queued. It reports whether the connection stays open.
func (x *held) flush() bool {
	for !x.queue.Empty() {
		n, err := x.c.Write(x.queue.Next(x.c.Loop().Out(), func(m *hub.Message) []byte { return gaps(x, m) }))
		if n > 0 {
			x.stalled = false
			x.queue.Written(n)
		}
		if err == park.ErrAgain {
			return true
		}
		if err != nil {
			x.end(ending.ClientGone)
			return false
		}
	}
	pongs := x.queue.pongs
	x.queue = nil
	if x.answered {
		x.form.sent(x)
		return false
	}
	for _, b := range pongs {
		if len(b) > 0 && !x.send(b, false) {
			return false
		}
	}
	return true
}
