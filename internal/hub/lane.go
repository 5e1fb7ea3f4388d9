package hub

import (
	"sort"
	"sync/atomic"
	"time"

	"holdfast/internal/metric"
)

// spareBatches and spareBatchCap limit the empty batch slices that a lane keeps for reuse.
const spareBatches, spareBatchCap = 64, 1024

// Lane has the subscribers of one event loop. Its methods, except OnWork, are for that loop's goroutine only.
type Lane struct {
	hub    *Hub
	onWork func() // set before use, never changed

	delivered atomic.Uint64
	delays    metric.Durations // of the deliveries, from the publish

	// Guarded by Hub.mu.
	several    map[string]*Group // groups with more than one channel, by setKey
	head, tail *Group            // run queue
	busy       bool              // has work; cleared when Step returns false
	spare      []*batch          // empty, for pending
}

// OnWork sets a function that is called when the lane gets work and had none: call Step then, until it returns false. f
// is called from any goroutine and must not block. Call OnWork before the lane is used.
func (l *Lane) OnWork(f func()) { l.onWork = f }

// Step delivers pending messages to about n members at most, fewer if the messages are large, and reports whether there
// is more to do. Groups take turns: one with members left after n goes to the back of the queue.
func (l *Lane) Step(n int) (more bool) {
	n = max(n, 1)
	var g *Group
	passing := false
	defer func() {
		if passing { // a Deliver has panicked: the other subscribers must not miss messages
			l.yield(g)
		}
	}()
	for n > 0 {
		var render *Message
		if g, render = l.turn(g); render != nil {
			l.hub.render(render)
			continue
		}
		if g == nil {
			return false
		}
		passing = true
		n -= l.pass(g, n)
		passing = false
	}
	return l.yield(g)
}

// stepData is how many bytes of data to one member count as one more member.
const stepData = 8 << 10

// pass continues g's batch with at most n members, fewer if the batch is large, and returns how much of n it has used.
func (l *Lane) pass(g *Group, n int) (spent int) {
	whole, bytes := 0, 0
	batch := g.batch.list()
	for _, m := range batch {
		bytes += len(m.Data)
	}
	last := batch[len(batch)-1].ID
	for spent < n && int(g.cursor) < len(g.members) {
		s := g.members[g.cursor]
		g.cursor++
		spent += 1 + bytes/stepData
		p := s.Membership()
		part := newerThan(batch, p.pos)
		p.pos = max(p.pos, last)
		switch len(part) {
		case 0:
			continue
		case len(batch):
			whole++
		default:
			l.count(part, 1)
		}
		s.Deliver(part) // may change g's members and cursor, not its batch
	}
	l.count(batch, whole)
	return spent
}

// count counts messages that n subscribers have got.
func (l *Lane) count(list []*Message, n int) {
	l.delivered.Add(uint64(len(list) * n))
	now := l.hub.now().UnixNano()
	for _, m := range list {
		l.delays.AddN(time.Duration(now-m.at), n)
	}
}

// newerThan returns the messages of batch with an id above pos.
func newerThan(batch []*Message, pos ID) []*Message {
	if len(batch) == 0 || batch[0].ID > pos {
		return batch
	}
	return batch[sort.Search(len(batch), func(i int) bool { return batch[i].ID > pos }):]
}

// turn puts g back, if it is not nil, and returns the next group, with a batch. It returns nil if no work is left, or
// if a message must be rendered first.
func (l *Lane) turn(g *Group) (next *Group, render *Message) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if g != nil {
		l.putBackLocked(g)
	}
	for {
		g := l.head
		if g == nil {
			l.busy = false
			return nil, nil
		}
		if l.head = g.next; l.head == nil {
			l.tail = nil
		}
		g.next = nil
		if g.count == 0 {
			g.queued = false
			l.releaseLocked(g.pending)
			l.releaseLocked(g.batch)
			g.pending, g.batch, g.cursor = nil, nil, 0
			continue
		}
		if g.batch == nil {
			g.batch, g.pending = g.pending, nil
		}
		if waits, render := l.hub.awaitLocked(g); render != nil {
			return nil, render
		} else if waits {
			continue
		}
		return g, nil
	}
}

// yield puts g back and reports whether the lane has work left.
func (l *Lane) yield(g *Group) bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.putBackLocked(g)
	l.busy = l.head != nil
	return l.busy
}

// putBackLocked ends g's turn: g goes to the back of the queue if it has more to deliver.
func (l *Lane) putBackLocked(g *Group) {
	if int(g.cursor) >= len(g.members) {
		l.releaseLocked(g.batch)
		g.batch, g.cursor = nil, 0
	}
	g.queued = g.batch != nil || g.pending != nil
	if g.queued {
		l.enqueueLocked(g)
	}
}

func (l *Lane) enqueueLocked(g *Group) {
	if l.tail == nil {
		l.head = g
	} else {
		l.tail.next = g
	}
	l.tail = g
}

// pushLocked appends m to what is pending for g. It reports whether the lane has to be woken.
func (l *Lane) pushLocked(g *Group, m *Message) (wake bool) {
	if g.pending == nil {
		if n := len(l.spare); n > 0 {
			g.pending = l.spare[n-1]
			l.spare[n-1] = nil
			l.spare = l.spare[:n-1]
		} else {
			g.pending = new(batch)
		}
	}
	*g.pending = append(*g.pending, m)
	if m.refs++; m.refs == 1 {
		l.hub.backlog += m.backlogCost()
		m.track.Hold()
	}
	if !g.queued {
		g.queued = true
		l.enqueueLocked(g)
	}
	if l.busy {
		return false
	}
	l.busy = true
	return true
}

// releaseLocked removes a batch or a pending list from the backlog, and keeps its slice for reuse.
func (l *Lane) releaseLocked(b *batch) {
	list := b.list()
	for _, m := range list {
		if m.refs--; m.refs == 0 {
			l.hub.backlog -= m.backlogCost()
			m.track.Release()
		}
	}
	if b == nil || cap(list) > spareBatchCap || len(l.spare) == spareBatches {
		return
	}
	clear(list)
	*b = list[:0]
	l.spare = append(l.spare, b)
}

// backlogCost returns the memory of m while it waits, in bytes. Renderings are made at delivery.
func (m *Message) backlogCost() int64 { return int64(messageCost + len(m.Data) + len(m.Event)) }
