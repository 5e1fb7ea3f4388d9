// Package sendqueue has the queue of one slow client: the bytes that the kernel has not accepted for it, in order. All
// clients that wait for a message share its rendering, so each costs an entry, and a loop counts the bytes once.
//
// A message may be dropped while it waits, but for what of it was written already. In its place is a [hub.Gap] then, or
// the newer message that supersedes it. Its user has the limits and the policies.
package sendqueue

import (
	"slices"
	"sync/atomic"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
)

// EntryCost is what an item counts besides its bytes: its entry in the queue, and a gap in its place.
const EntryCost = 64

// Memory counts the bytes of all queues of a loop, whose goroutine it belongs to.
type Memory struct {
	total  *atomic.Int64
	shared map[*byte]int // number of queues that have a rendering, by its first byte
}

// NewMemory returns a memory that adds to total, which all loops share.
func NewMemory(total *atomic.Int64) *Memory { return &Memory{total: total, shared: map[*byte]int{}} }

// Item is something to send.
type Item struct {
	Bytes   []byte       // not empty
	Message *hub.Message // whose rendering Bytes is; nil: no message, and never dropped
	Shared  bool         // other queues may have the same Bytes
	Counted bool         // in Queue.Size
}

// entry is a queued item, or a gap.
type entry struct {
	b      []byte       // of a gap: nil until its turn
	m      *hub.Message // of a message; of a gap, the newest one that was dropped
	cost   int32        // in Queue.Size; zero: not counted
	shared bool
}

func (e *entry) isGap() bool     { return e.m != nil && e.b == nil }
func (e *entry) isMessage() bool { return e.m != nil && e.b != nil }

// Queue has the items that wait for one client.
type Queue struct {
	memory *Memory
	list   []entry
	off    int // bytes of the first item that are written
	size   int
}

// New returns a queue with a first item of which n bytes are written.
func New(m *Memory, first Item, n int) Queue {
	q := Queue{memory: m, off: n}
	q.Push(first)
	return q
}

// Size returns the bytes of the items that are counted, with EntryCost for each.
func (q *Queue) Size() int { return q.size }

// Empty reports whether the queue is empty.
func (q *Queue) Empty() bool { return len(q.list) == 0 }

// Push adds an item.
func (q *Queue) Push(i Item) {
	e := entry{b: i.Bytes, m: i.Message, shared: i.Shared}
	if i.Counted {
		e.cost = int32(len(i.Bytes) + EntryCost)
	}
	q.list = append(q.list, e)
	q.count(&e)
}

// count adds an entry to the sizes, and uncount subtracts it.
func (q *Queue) count(e *entry) {
	q.size += int(e.cost)
	n := int64(EntryCost)
	if !e.shared {
		n += int64(len(e.b))
	} else {
		p := &e.b[0]
		if q.memory.shared[p]++; q.memory.shared[p] == 1 {
			n += int64(len(e.b))
		}
	}
	q.memory.total.Add(n)
}

func (q *Queue) uncount(e *entry) {
	q.size -= int(e.cost)
	n := int64(EntryCost)
	if !e.shared {
		n += int64(len(e.b))
	} else {
		p := &e.b[0]
		if q.memory.shared[p]--; q.memory.shared[p] == 0 {
			delete(q.memory.shared, p)
			n += int64(len(e.b))
		}
	}
	q.memory.total.Add(-n)
}

// first returns the index of the first entry of which no byte is written.
func (q *Queue) first() int {
	if q.off > 0 {
		return 1
	}
	return 0
}

// Admit adds an item for a client in g. If there is no room for it below limit, or it supersedes others, messages are
// dropped as the policies of their channels say. It returns how many, and false if there is still no room.
func (q *Queue) Admit(i Item, g *hub.Group, limit int, policy func(*hub.Message) channel.Slow) (superseded, dropped int, ok bool) {
	if i.Message != nil && policy(i.Message) == channel.LatestOnly {
		superseded = q.DropSuperseded(g, i.Message, func(old *hub.Message) bool { return policy(old) == channel.LatestOnly })
	}
	if i.Counted {
		dropped, ok = q.MakeRoom(len(i.Bytes)+EntryCost, limit, func(m *hub.Message) bool { return policy(m) == channel.DropOldest })
		if !ok {
			return superseded, dropped, false
		}
	}
	q.Push(i)
	return superseded, dropped, true
}

// DropSuperseded removes the messages that may be superseded and of which a client in g has a newer one, m, on all of their
// channels. It returns their number.
func (q *Queue) DropSuperseded(g *hub.Group, m *hub.Message, may func(*hub.Message) bool) (n int) {
	names := slices.Collect(g.Of(m))
	superseded := func(old *hub.Message) bool {
		for name := range g.Of(old) {
			if !slices.Contains(names, name) {
				return false
			}
		}
		return may(old)
	}
	for i := q.first(); i < len(q.list); i++ {
		if e := &q.list[i]; e.isMessage() && superseded(e.m) {
			q.removeAt(i)
			i--
			n++
		}
	}
	return n
}

// MakeRoom replaces the oldest messages that may be dropped by gaps, until size more bytes fit into limit. It returns
// how many it has dropped, and whether they fit.
func (q *Queue) MakeRoom(size, limit int, may func(*hub.Message) bool) (dropped int, ok bool) {
	for i := q.first(); i < len(q.list) && q.size+size > limit; i++ {
		e := &q.list[i]
		if !e.isMessage() || e.cost == 0 || !may(e.m) {
			continue
		}
		dropped++
		if g := q.gap(e.m, i); g != nil {
			g.m = e.m
			q.removeAt(i)
			i--
			continue
		}
		q.uncount(e)
		*e = entry{m: e.m, cost: EntryCost}
		q.count(e)
	}
	return dropped, q.size+size <= limit
}

// gap returns the gap before index i that can stand for m too, nil if there is none. One of messages that were published
// to other channels as well cannot: of these the client may keep some, see RemoveLeft.
func (q *Queue) gap(m *hub.Message, i int) *entry {
	for j := q.first(); j < i; j++ {
		if e := &q.list[j]; e.isGap() && e.m.SameChannels(m) {
			return e
		}
	}
	return nil
}

// removeAt removes an entry of which no byte is written. Mostly it is near the front.
func (q *Queue) removeAt(i int) {
	q.uncount(&q.list[i])
	copy(q.list[1:i+1], q.list[:i])
	q.list[0] = entry{}
	q.list = q.list[1:]
}

// RemoveLeft removes the messages of channels that the client has left; it is in g now. A message that it also has on a
// remaining channel is rendered for that one, and so is a gap.
func (q *Queue) RemoveLeft(g *hub.Group, render func(*hub.Message) []byte) {
	for i := q.first(); i < len(q.list); i++ {
		e := &q.list[i]
		if e.m == nil {
			continue
		}
		m := g.As(e.m)
		switch {
		case m == e.m:
		case m == nil:
			q.removeAt(i)
			i--
		case e.isGap():
			e.m = m
		default:
			q.uncount(e)
			was := len(e.b)
			if e.m, e.b = m, render(m); e.cost > 0 {
				e.cost += int32(len(e.b) - was)
			}
			q.count(e)
		}
	}
}

// Next returns the bytes to write next: the rest of the first item, or several small items in buf. gap renders the gaps in
// the place of a message that was dropped, the last one of several.
func (q *Queue) Next(buf []byte, gap func(*hub.Message) []byte) []byte {
	first := q.bytes(&q.list[0], gap)[q.off:]
	buf = buf[:0]
	if len(q.list) == 1 || len(first) > cap(buf)/2 {
		return first
	}
	buf = append(buf, first...)
	for i := 1; i < len(q.list); i++ {
		b := q.bytes(&q.list[i], gap)
		if len(buf)+len(b) > cap(buf) {
			break
		}
		buf = append(buf, b...)
	}
	return buf
}

// bytes returns the bytes of an entry. A gap is then an ordinary item: messages dropped later get a gap behind it.
func (q *Queue) bytes(e *entry, gap func(*hub.Message) []byte) []byte {
	if e.isGap() {
		b := gap(e.m)
		*e = entry{b: b, cost: e.cost}
		q.memory.total.Add(int64(len(b)))
	}
	return e.b
}

// Written removes n bytes from the front. A gap whose turn has not come has no bytes yet, and stays.
func (q *Queue) Written(n int) {
	for q.off += n; len(q.list) > 0 && !q.list[0].isGap() && q.off >= len(q.list[0].b); {
		q.off -= len(q.list[0].b)
		q.uncount(&q.list[0])
		q.list[0] = entry{}
		q.list = q.list[1:]
	}
}

// Begun returns the rest of an item that is partly written, which the client needs; nil if there is none.
func (q *Queue) Begun() []byte {
	if e := &q.list[0]; q.off > 0 || e.m == nil && !e.shared { // the latter was cut where it was begun
		return e.b[q.off:]
	}
	return nil
}

// Release releases all items.
func (q *Queue) Release() {
	for i := range q.list {
		q.uncount(&q.list[i])
	}
	q.list = nil
}
