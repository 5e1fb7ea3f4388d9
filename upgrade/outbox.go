package upgrade

import (
	"bytes"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

// waitingCost is what a piece counts beside its bytes: its entry in the outbox, and a gap in its place.
const waitingCost = 64

// outbox is what a slow reader's kernel would not take. Rendered messages are shared by all who wait
// for them, so each costs an entry; a loop counts their bytes once.
type outbox struct {
	list  []waiting
	off   int // into the first
	bytes int // of the pieces that count
	told  bool

	pongs [pongKinds][]byte // what answers the newest ping of each kind
}

// Kinds of pongs: a control frame, and one of the subprotocol.
const (
	controlPong = iota
	framePong
	pongKinds
)

// pong answers a ping: of each kind only the newest, if the client does not read (RFC 6455 §5.5.3).
func (x *held) pong(kind int, b []byte) bool {
	if x.out != nil {
		x.out.pongs[kind] = b
		return true
	}
	return x.send(b, kind == framePong)
}

// waiting is a piece of what waits, in one of three forms: a message, which may be left out; a gap in the place of
// messages that were; and anything else.
type waiting struct {
	b      []byte       // of a gap: nil until it is its turn
	m      *hub.Message // of a message; of a gap, the newest one that was left out
	cost   int32        // of push.send_queue; zero: it does not count
	shared bool         // b is counted by the register
}

func (w *waiting) isGap() bool     { return w.m != nil && w.b == nil }
func (w *waiting) isMessage() bool { return w.m != nil && w.b != nil }

// send writes b, or lets wait what is not taken. shared says that b stays as it is. It reports whether the
// connection goes on.
func (x *held) send(b []byte, shared bool) bool { return x.sendPiece(b, shared, true) }

// sendPiece is send; counted says that what waits counts as this connection's.
func (x *held) sendPiece(b []byte, shared, counted bool) bool {
	n, ok := x.write(b)
	if !ok || n == len(b) {
		return ok
	}
	if !shared {
		b, n = bytes.Clone(b[n:]), 0
	}
	w := waiting{b: b, shared: shared}
	if counted {
		w.cost = int32(len(b) + waitingCost)
	}
	return x.enqueue(w, n)
}

// write hands b to the kernel, unless something else is to be written first. It reports how much was taken, and
// whether the connection goes on.
func (x *held) write(b []byte) (n int, ok bool) {
	if x.out != nil {
		return 0, true
	}
	n, err := x.c.Write(b)
	if err != nil && err != park.ErrAgain {
		x.end(clientGone)
		return n, false
	}
	return n, true
}

// enqueue lets a piece wait of which n bytes were written. It reports whether the connection goes on.
func (x *held) enqueue(w waiting, n int) bool {
	if x.out == nil { // the rest of one piece is always kept
		x.out, x.stalled = &outbox{off: n}, false
	} else {
		if w.isMessage() && x.policy(w.m) == LatestOnly {
			x.outdate(w.m)
		}
		if w.cost > 0 && x.out.bytes+int(w.cost) > x.k.o.Outbox && !x.makeRoom(int(w.cost)) {
			x.dropSlow("push.send_queue")
			return false
		}
	}
	x.out.list = append(x.out.list, w)
	x.count(&w)
	if x.k.stats.outbox.Load() > x.k.o.OutboxTotal {
		x.dropSlow("push.send_queue_total")
		return false
	}
	return true
}

// count adds a piece to what waits, uncount takes it off.
func (x *held) count(w *waiting) {
	x.out.bytes += int(w.cost)
	n := waitingCost
	if w.shared {
		n += x.register().share(w.b)
	} else {
		n += len(w.b)
	}
	x.k.stats.outbox.Add(int64(n))
}

func (x *held) uncount(w *waiting) {
	x.out.bytes -= int(w.cost)
	n := waitingCost
	if w.shared {
		n += x.register().unshare(w.b)
	} else {
		n += len(w.b)
	}
	x.k.stats.outbox.Add(int64(-n))
}

// share returns how many bytes more wait on this loop with b.
func (r *register) share(b []byte) int {
	p := &b[0]
	r.waiting[p]++
	if r.waiting[p] == 1 {
		return len(b)
	}
	return 0
}

func (r *register) unshare(b []byte) int {
	p := &b[0]
	if r.waiting[p]--; r.waiting[p] > 0 {
		return 0
	}
	delete(r.waiting, p)
	return len(b)
}

// policy is what becomes of a message if its reader is too slow. Who cannot be told of a gap is not left in one.
func (x *held) policy(m *hub.Message) SlowPolicy {
	if x.k.o.Slow == nil {
		return Disconnect
	}
	p := x.k.o.Slow(m.Channel)
	if p == DropOldest && !x.form.canGap() {
		return Disconnect
	}
	return p
}

// first is the index of the first piece of which nothing was written.
func (o *outbox) first() int {
	if o.off > 0 {
		return 1
	}
	return 0
}

// outdate takes out what waits of m's channel, as m takes its place.
func (x *held) outdate(m *hub.Message) {
	o := x.out
	for i := o.first(); i < len(o.list); i++ {
		if w := &o.list[i]; w.isMessage() && w.m.Channel == m.Channel {
			x.skipped(LatestOnly)
			x.takeOut(i)
			i--
		}
	}
}

// makeRoom leaves out the oldest of what may be, with a gap in its place, until n more bytes may wait. It
// reports whether they may.
func (x *held) makeRoom(n int) bool {
	o := x.out
	for i := o.first(); i < len(o.list) && o.bytes+n > x.k.o.Outbox; i++ {
		w := &o.list[i]
		if !w.isMessage() || w.cost == 0 || x.policy(w.m) != DropOldest {
			continue
		}
		x.skipped(DropOldest)
		if g := o.gap(w.m.Channel, i); g != nil {
			g.m = w.m
			x.takeOut(i)
			i--
			continue
		}
		x.uncount(w)
		*w = waiting{m: w.m, cost: waitingCost}
		x.count(w)
	}
	return o.bytes+n <= x.k.o.Outbox
}

// gap returns the channel's gap before index i, nil if there is none.
func (o *outbox) gap(channel string, i int) *waiting {
	for j := o.first(); j < i; j++ {
		if w := &o.list[j]; w.isGap() && w.m.Channel == channel {
			return w
		}
	}
	return nil
}

// takeOut removes a piece of which nothing was written. It is near the front, most often.
func (x *held) takeOut(i int) {
	o := x.out
	x.uncount(&o.list[i])
	copy(o.list[1:i+1], o.list[:i])
	o.list[0] = waiting{}
	o.list = o.list[1:]
}

// takeBack takes out what waits of channels that the connection has left. A message that it also has on a channel
// that it keeps goes there.
func (x *held) takeBack() {
	o, g := x.out, x.membership.Group()
	for i := o.first(); i < len(o.list); i++ {
		w := &o.list[i]
		if w.m == nil {
			continue
		}
		m := g.As(w.m)
		switch {
		case m == w.m:
		case m == nil || w.isGap():
			x.takeOut(i)
			i--
		default:
			x.uncount(w)
			was := len(w.b)
			if w.m, w.b = m, x.render(m); w.cost > 0 {
				w.cost += int32(len(w.b) - was)
			}
			x.count(w)
		}
	}
	if len(o.list) == 0 {
		x.out = nil
	}
}

// skipped counts a message that is left out, and tells of the first.
func (x *held) skipped(p SlowPolicy) {
	x.k.stats.skipped[p].Add(1)
	if !x.out.told {
		x.out.told = true
		x.k.o.Log.Info("slow reader: messages are left out, as its channels' rule says", "policy", p.String(),
			"transport", x.form.transport(), "client", x.client())
	}
}

func (x *held) dropSlow(limit string) {
	waiting := 0
	if x.out != nil {
		waiting = x.out.bytes
	}
	x.k.o.Log.Info("slow reader dropped", "transport", x.form.transport(), "queued", waiting, "client", x.client(), "limit", limit)
	x.end(slow)
}

// flush writes what waits. It reports whether the connection goes on as it is.
func (x *held) flush() bool {
	for len(x.out.list) > 0 {
		b := x.gather()
		n, err := x.c.Write(b)
		if n > 0 {
			x.stalled = false
			x.written(n)
		}
		if err == park.ErrAgain {
			return true
		}
		if err != nil {
			x.end(clientGone)
			return false
		}
	}
	pongs := x.out.pongs
	x.out = nil
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

// gather returns what is to be written next: the first piece, or several small ones in the loop's buffer.
func (x *held) gather() []byte {
	o := x.out
	first := x.text(&o.list[0])[o.off:]
	buf := x.c.Loop().Out()[:0]
	if len(o.list) == 1 || len(first) > cap(buf)/2 {
		return first
	}
	buf = append(buf, first...)
	for i := 1; i < len(o.list); i++ {
		b := x.text(&o.list[i])
		if len(buf)+len(b) > cap(buf) {
			break
		}
		buf = append(buf, b...)
	}
	return buf
}

// text returns the bytes of a piece. A gap is one no more then: what is left out later is behind it.
func (x *held) text(w *waiting) []byte {
	if w.isGap() {
		b := x.form.gap(hub.Gap{Channel: w.m.Channel, Through: w.m.ID})
		was := *w
		*w = waiting{b: b, cost: was.cost}
		x.k.stats.outbox.Add(int64(len(b)))
	}
	return w.b
}

// written takes n bytes off the front. A gap whose turn has not come has no bytes yet, and stays.
func (x *held) written(n int) {
	o := x.out
	for o.off += n; len(o.list) > 0 && !o.list[0].isGap() && o.off >= len(o.list[0].b); {
		o.off -= len(o.list[0].b)
		x.uncount(&o.list[0])
		o.list[0] = waiting{}
		o.list = o.list[1:]
	}
}

func (x *held) dropOutbox() {
	if x.out == nil {
		return
	}
	for i := range x.out.list {
		x.uncount(&x.out.list[i])
	}
	x.out = nil
}
