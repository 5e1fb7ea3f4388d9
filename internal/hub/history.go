package hub

import (
	"sort"
	"time"
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
	hub     *Hub     // never changed
	channel *channel // never changed; nil in the marks of a list
	rule    History

	ring  []*Message // len is a power of two
	first int        // index of the oldest
	n     int
	bytes int64 // of data and event names

	prev, next *history                      // in histories
	fresh      struct{ prev, next *history } // in wildcards; nil if there are no patterns
}

func (k *history) at(i int) *Message { return k.ring[(k.first+i)&(len(k.ring)-1)] }

func (k *history) push(m *Message) {
	if k.n == len(k.ring) {
		ring := make([]*Message, max(1, 2*len(k.ring)))
		for i := range k.n {
			ring[i] = k.at(i)
		}
		k.ring, k.first = ring, 0
	}
	k.ring[(k.first+k.n)&(len(k.ring)-1)] = m
	k.n++
	k.bytes += int64(len(m.Data) + len(m.Event))
}

func (k *history) pop() *Message {
	m := k.ring[k.first]
	k.ring[k.first] = nil
	k.first = (k.first + 1) & (len(k.ring) - 1)
	k.n--
	k.bytes -= int64(len(m.Data) + len(m.Event))
	return m
}

// appendSince appends the messages with an id above after to list.
func (k *history) appendSince(list []*Message, after ID) []*Message {
	for i := sort.Search(k.n, func(i int) bool { return k.at(i).ID > after }); i < k.n; i++ {
		list = append(list, k.at(i))
	}
	return list
}

// exceeds reports whether the oldest message exceeds a limit of the channel's rule.
func (k *history) exceeds(now int64) bool {
	return k.n > k.rule.Messages ||
		k.rule.Bytes > 0 && k.bytes > k.rule.Bytes ||
		k.rule.Age > 0 && now-k.at(0).at > int64(k.rule.Age)
}

// histories is all stored messages, in a ring list from the most to the least recently used channel. All fields are
// guarded by Hub.mu.
type histories struct {
	root     history // root.next was used last, root.prev longest ago
	messages int
	bytes    int64 // memory of all messages, renderings included
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

// keepLocked appends m to the channel's history, within the limits of its rule, and raises the floor for messages that
// are not stored, or dropped.
func (h *Hub) keepLocked(ch *channel, m *Message, rule History) {
	if rule.Messages <= 0 || m.sizeLocked() > h.historyTotal {
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
		k = &history{hub: h, channel: ch}
		ch.hist = k
		h.held.insert(k, h.held.root.next)
	} else {
		h.held.touch(k)
	}
	k.rule = rule
	h.unsavedLocked(ch, m, Keep)
	k.push(m)
	if h.wild.lost != nil {
		h.wild.moveToFront(k)
	}
	m.hist, m.held = k, true
	h.held.messages++
	h.held.bytes += m.sizeLocked()
	for ch.hist != nil && k.exceeds(m.at) {
		h.evictLocked(k)
	}
	h.trimLocked()
}

// evictLocked drops the oldest message of k.
func (h *Hub) evictLocked(k *history) {
	m := k.pop()
	m.held = false
	h.held.messages--
	h.held.bytes -= m.sizeLocked()
	h.unsavedLocked(k.channel, m, Drop)
	k.channel.floor = m.ID
	h.loseToPatternsLocked(k.channel.name, m.ID)
	if k.n == 0 {
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
	for seen := 1; mark.prev != &h.held.root; seen++ {
		k := mark.prev
		h.held.remove(mark)
		h.held.insert(mark, k)
		if k.channel != nil {
			for k.channel.hist != nil && k.exceeds(now.UnixNano()) {
				h.evictLocked(k)
			}
			h.forgetLocked(k.channel)
		}
		if seen%sweepSlice == 0 {
			h.giveWayLocked()
		}
	}
	h.held.remove(mark)
}
