package hub

import (
	"sort"
	"time"

	"holdfast/internal/slab"
)

// History limits the messages that a channel stores for subscribers that resume. The first limit reached drops the
// oldest message.
type History struct {
	Messages int           // zero: none is stored
	Age      time.Duration // zero: any age
	Bytes    int64         // of data and event names; zero: any size
}

// history is the stored messages of one channel: its newest ones, without holes. It exists while it has messages. All
// fields are guarded by Hub.mu.
type history struct {
	channel *channel // never changed; nil in the marks of a list
	rule    History

	ring   []stored // len is a power of two
	first  int      // index of the oldest
	n      int
	bytes  int64   // of data and event names
	copies copySet // of messages that were read; nil: none

	prev, next *history                      // in histories
	fresh      struct{ prev, next *history } // in wildcards; nil if there are no patterns
}

func (k *history) at(i int) stored { return k.ring[k.index(i)] }

func (k *history) index(i int) int { return (k.first + i) & (len(k.ring) - 1) }

// newest returns the ID of the newest message.
func (k *history) newest() ID { return k.at(k.n - 1).id }

// since returns the index of the oldest message with an ID above after.
func (k *history) since(after ID) int {
	return sort.Search(k.n, func(i int) bool { return k.at(i).id > after })
}

func (k *history) push(m stored) {
	if k.n == len(k.ring) {
		ring := make([]stored, max(1, 2*len(k.ring)))
		for i := range k.n {
			ring[i] = k.at(i)
		}
		k.copies = k.copies.move(k, len(ring))
		k.ring, k.first = ring, 0
	}
	k.ring[k.index(k.n)] = m
	k.n++
	k.bytes += int64(m.size)
}

func (k *history) pop() stored {
	m := k.ring[k.first]
	k.copies.remove(k.first)
	k.first = k.index(1)
	k.n--
	k.bytes -= int64(m.size)
	if len(k.ring) > minRing && k.n < len(k.ring)/4 {
		ring := make([]stored, len(k.ring)/2)
		for i := range k.n {
			ring[i] = k.at(i)
		}
		k.copies = k.copies.move(k, len(ring))
		k.ring, k.first = ring, 0
	}
	return m
}

// minRing is the length from which on a ring shrinks when most of it is empty.
const minRing = 16

// histories is all stored messages, in a ring list from the most to the least recently used channel. All fields are
// guarded by Hub.mu.
type histories struct {
	root     history // root.next was used last, root.prev longest ago
	records  records
	copies   copies
	messages int
	bytes    int64 // memory of all messages, see storedCost
	evicted  uint64
}

func (l *histories) insert(k, before *history) {
	k.prev, k.next = before.prev, before
	k.prev.next, k.next.prev = k, k
}

func (l *histories) remove(k *history) {
	k.prev.next, k.next.prev = k.next, k.prev
	k.prev, k.next = nil, nil
}

// touch makes k the most recently used history.
func (l *histories) touch(k *history) {
	l.remove(k)
	l.insert(k, l.root.next)
}

// oldest returns the least recently used history, nil when there is none.
func (l *histories) oldest() *history {
	k := l.root.prev
	for k != &l.root && k.channel == nil {
		k = k.prev
	}
	if k == &l.root {
		return nil
	}
	return k
}

// exceeds reports whether the oldest message of k exceeds a limit of the channel's rule.
func (l *histories) exceeds(k *history, now int64) bool {
	return k.n > k.rule.Messages ||
		k.rule.Bytes > 0 && k.bytes > k.rule.Bytes ||
		k.rule.Age > 0 && now-l.records.Time(k.at(0).text) > int64(k.rule.Age)
}

// keepLocked appends m to the channel's history, within the limits of its rule, and raises the floor for messages that
// are not stored, or dropped.
func (h *Hub) keepLocked(ch *channel, m *Message, rule History) {
	if rule.Messages <= 0 || m.historyCost() > h.historyTotal {
		// This message is not stored, so with older ones the history would have a hole.
		for ch.hist != nil {
			h.evictLocked(ch.hist)
		}
		ch.floor = m.ID
		h.loseLocked(ch)
		h.loseToPatternsLocked(ch.name, m.ID)
		return
	}
	k := ch.hist
	if k == nil {
		k = &history{channel: ch}
		ch.hist = k
		h.held.insert(k, h.held.root.next)
	} else {
		h.held.touch(k)
	}
	k.rule = rule
	h.unsavedLocked(ch, m)
	s := h.held.records.store(m)
	k.push(s)
	if h.wild.lost != nil {
		h.wild.moveToFront(k)
	}
	h.held.messages++
	h.held.bytes += s.cost()
	for ch.hist != nil && h.held.exceeds(k, m.at) {
		h.evictLocked(k)
	}
	h.trimLocked()
}

// evictLocked drops the oldest message of k.
func (h *Hub) evictLocked(k *history) {
	m := k.pop()
	h.held.records.Drop(m.text)
	h.held.messages--
	h.held.bytes -= m.cost()
	h.saving.drop(k.channel, m.id)
	k.channel.floor = m.id
	h.loseToPatternsLocked(k.channel.name, m.id)
	if k.n == 0 {
		k.copies = nil
		h.held.remove(k)
		h.wild.unlinkRecent(k)
		k.channel.hist = nil
		h.loseLocked(k.channel)
	}
}

// trimLocked drops messages until the total is within its limit: each time the oldest of the least recently used
// channel.
func (h *Hub) trimLocked() {
	for h.held.bytes > h.historyTotal {
		k := h.held.oldest()
		h.evictLocked(k)
		h.held.evicted++
		h.forgetLocked(k.channel)
	}
}

// sweepSlice is how many channels Sweep looks at before it lets others have the lock.
const sweepSlice = 256

// Sweep drops messages that are older at now than their rule allows. Call it every few seconds.
func (h *Hub) Sweep(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// The mark moves from the least to the most recently used. Others may move to the front meanwhile; the mark reaches
	// them later.
	mark := new(history)
	h.held.insert(mark, &h.held.root)
	h.held.copies.sweepLocked(h)
	limit := h.held.records.Slab.Sparse()
	for seen := 1; mark.prev != &h.held.root; seen++ {
		k := mark.prev
		h.held.remove(mark)
		h.held.insert(mark, k)
		if k.channel != nil {
			k.sweepLocked(h, now.UnixNano(), limit)
		}
		if seen%sweepSlice == 0 {
			h.giveWayLocked()
		}
	}
	h.held.remove(mark)
}

// sweepLocked drops the messages of k that are older than its rule allows, and moves the text of the others out of the
// blocks from limit on, if it is not zero, so that their chunks can be released.
func (k *history) sweepLocked(h *Hub, now int64, limit slab.Ref) {
	for k.n > 0 && h.held.exceeds(k, now) {
		cost := k.at(0).cost()
		h.evictLocked(k)
		h.spendLocked(int(cost))
	}
	for i := 0; i < k.n && limit != 0; i++ {
		m := &k.ring[k.index(i)]
		m.text = h.held.records.Slab.Lower(m.text, limit)
		if id := m.id; h.spendLocked(int(m.cost())) {
			i = k.since(id) - 1
		}
	}
	if h.channels[k.channel.name] == k.channel { // it may be gone, and there may be another one
		h.forgetLocked(k.channel)
	}
}
