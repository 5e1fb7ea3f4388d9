package upgrade

import (
	"bytes"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/sendqueue"
)

// sendQueue is what the kernel of a slow reader would not take.
type sendQueue struct {
	sendqueue.Queue
	reported bool // that messages were dropped

	pongs [pongKinds][]byte // what answers the newest ping of each kind
}

// Kinds of pongs: a control frame, and one of the subprotocol.
const (
	controlPong = iota
	framePong
	pongKinds
)

// release lets go of what waits. It returns nil, for the connection to have.
func (q *sendQueue) release() *sendQueue {
	if q != nil {
		q.Release()
	}
	return nil
}

// pong answers a ping: of each kind only the newest, if the client does not read (RFC 6455 §5.5.3).
func (x *held) pong(kind int, b []byte) bool {
	if x.queue != nil {
		x.queue.pongs[kind] = b
		return true
	}
	return x.send(b, kind == framePong)
}

// send writes b, or queues what is not taken. shared says that b stays as it is. It reports whether the connection goes
// on.
func (x *held) send(b []byte, shared bool) bool {
	return x.sendItem(sendqueue.Item{Bytes: b, Shared: shared, Counted: true})
}

// sendItem is send for an item that may not count as what this connection has waiting.
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

// write hands b to the kernel, unless something else is to be written first. It reports how much was taken, and
// whether the connection goes on.
func (x *held) write(b []byte) (n int, ok bool) {
	if x.queue != nil {
		return 0, true
	}
	n, err := x.c.Write(b)
	if err != nil && err != park.ErrAgain {
		x.end(clientGone)
		return n, false
	}
	return n, true
}

// enqueue queues an item of which n bytes were written. It reports whether the connection goes on.
func (x *held) enqueue(i sendqueue.Item, n int) bool {
	if x.queue == nil { // the rest of one item is always kept
		x.queue, x.stalled = &sendQueue{Queue: sendqueue.New(x.index().queues, i, n)}, false
	} else {
		if i.Message != nil && x.k.o.Rules.SlowPolicy(i.Message.Channel, x.form.canGap()) == channel.LatestOnly {
			x.reportDropped(x.queue.DropSuperseded(i.Message.Channel), channel.LatestOnly)
		}
		if i.Counted {
			cost := len(i.Bytes) + sendqueue.EntryCost
			dropped, ok := x.queue.MakeRoom(cost, x.k.o.SendQueue, func(m *hub.Message) bool {
				return x.k.o.Rules.SlowPolicy(m.Channel, x.form.canGap()) == channel.DropOldest
			})
			if x.reportDropped(dropped, channel.DropOldest); !ok {
				x.closeSlow("push.send_queue")
				return false
			}
		}
		x.queue.Push(i)
	}
	if x.k.stats.sendQueue.Load() > x.k.o.SendQueueTotal {
		x.closeSlow("push.send_queue_total")
		return false
	}
	return true
}

// reportDropped counts messages that are dropped, and logs the first.
func (x *held) reportDropped(n int, p channel.Slow) {
	if p == channel.LatestOnly {
		x.k.stats.superseded.Add(int64(n))
	} else {
		x.k.stats.droppedOldest.Add(int64(n))
	}
	if n > 0 && !x.queue.reported {
		x.queue.reported = true
		x.k.o.Log.Info("messages dropped for a slow subscriber", "policy", string(p),
			"transport", x.form.transport(), "client", x.client())
	}
}

func (x *held) closeSlow(limit string) {
	x.k.o.Log.Info("connection closed: send queue is full", "transport", x.form.transport(), "queued", x.queue.Size(), "client", x.client(), "limit", limit)
	x.end(slow)
}

// flush writes what waits. It reports whether the connection goes on as it is.
func (x *held) flush() bool {
	for !x.queue.Empty() {
		n, err := x.c.Write(x.queue.Next(x.c.Loop().Out(), x.form.gap))
		if n > 0 {
			x.stalled = false
			x.queue.Written(n)
		}
		if err == park.ErrAgain {
			return true
		}
		if err != nil {
			x.end(clientGone)
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
