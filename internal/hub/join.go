package hub

import (
	"cmp"
	"runtime"
	"slices"
)

// Replay is what a subscriber gets first after Join: the gaps, then the messages.
type Replay struct {
	Messages []*Message // by growing id, one per id
	Gaps     []Gap      // by channel name
}

// Gap says that messages of a channel may be missing: after the ID from which the subscriber resumed, and up to
// Through. Messages of the channel that Replay has are not among them.
type Gap struct {
	Channel string
	Through ID
}

// Join subscribes s to a set of channels (in any order; repetitions are ignored). Without resume nothing is replayed.
// With resume, Replay has the channels' stored messages since after, and a Gap for every channel that may have lost
// some since. An ID that is not of this hub, from before its start or from its future, gets a gap for every channel,
// and all stored messages. Position is then the newest ID of the hub: all later messages are delivered.
//
// A subscriber that is already subscribed changes its set. Undelivered messages of channels that are in both sets are
// in Replay, without a gap; after and resume apply to the new channels only. An after older than Position may repeat a
// message that it got on another channel.
//
// With Options.Wildcards, a name may be a pattern. It is new, kept or left like any other name. Its replay has the
// stored messages of all channels that it matches, and its gap says that any of them may have lost messages.
//
// Without channels, s is not subscribed afterwards, but has a Position.
func (l *Lane) Join(s Subscriber, channels []string, after ID, resume bool) Replay {
	if !resume {
		return l.join(s, channels, 0, nil)
	}
	return l.join(s, channels, after, func(r *Replay, ch *channel) { r.resumeLocked(l.hub, ch, after) })
}

// JoinNewest is Join for a subscriber without messages: Replay has the messages that Newest returned for the channels,
// as far as they are still stored, and those stored since. It has no gaps, as nothing is missed.
func (l *Lane) JoinNewest(s Subscriber, channels []string, newest Newest) Replay {
	first := true
	r := l.join(s, channels, newest.position, func(r *Replay, ch *channel) {
		if first {
			r.Messages, first = newest.stillKeptLocked(l.hub, r.Messages), false
		}
		r.resumeLocked(l.hub, ch, newest.position)
	})
	return Replay{Messages: r.Messages}
}

// join subscribes s; replay, if not nil, adds the replay of a new channel, under the lock: mostly messages after an ID.
func (l *Lane) join(s Subscriber, channels []string, after ID, replay func(*Replay, *channel)) Replay {
	names := channels
	if len(names) > 1 {
		names = slices.Clone(channels)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	p := s.Membership()
	old := p.group
	l.check(old)

	h := l.hub
	var room [8]bool
	watched := h.watched(names, room[:0])
	var keptRoom [8]bool
	kept := h.keptOf(names, keptRoom[:0])
	h.mu.Lock()
	var ahead []*Message
	if replay != nil {
		ahead = old.readAheadLocked(h, names, after)
	}
	var buf [8]*channel
	set := buf[:0]
	for i, name := range names {
		set = append(set, h.channelLocked(name, kept != nil && kept[i]))
	}
	var g *Group
	if len(set) > 0 {
		g = l.groupLocked(set)
		g.count++
	}
	var r Replay
	if old != nil {
		r.Messages = undelivered(old, p.pos, g)
	}
	for i, ch := range set {
		if ch.subscribers++; ch.subscribers == 1 && watched != nil {
			ch.watched = watched[i]
			h.occupiedLocked(ch, true)
		}
		if replay != nil && (old == nil || !old.Holds(ch.name)) {
			replay(&r, ch)
		}
	}
	if old == nil {
		h.subscribers++
	} else {
		old.leaveLocked()
	}
	if g == nil {
		h.subscribers--
	}
	newest := h.last
	changed := tellsLocked(h)
	h.mu.Unlock()
	runtime.KeepAlive(ahead)

	if old != nil {
		old.remove(p)
	}
	if g != nil {
		g.add(s)
	}
	p.pos = newest
	r.sort()
	h.tellOccupancy(changed)
	return r
}

// Leave ends the subscription of s and drops its undelivered messages. s may join again and resume from its Position.
// Without a subscription, Leave does nothing.
func (l *Lane) Leave(s Subscriber) {
	p := s.Membership()
	g := p.group
	if g == nil {
		return
	}
	l.check(g)
	h := l.hub
	h.mu.Lock()
	h.subscribers--
	g.leaveLocked()
	changed := tellsLocked(h)
	h.mu.Unlock()
	g.remove(p)
	h.tellOccupancy(changed)
}

// check panics if the group is of another lane: fields of its subscribers would race.
func (l *Lane) check(g *Group) {
	if g != nil && g.lane != l {
		panic("hub: subscriber of another lane")
	}
}

// leaveLocked reduces the count of members.
func (g *Group) leaveLocked() {
	for _, k := range g.links {
		if k.channel.subscribers--; k.channel.subscribers == 0 {
			g.lane.hub.occupiedLocked(k.channel, false)
		}
	}
	if g.count--; g.count == 0 {
		g.dropLocked()
	}
}

// undelivered returns the messages that a member of old at pos has not got yet, and that are for members of g, too.
func undelivered(old *Group, pos ID, g *Group) []*Message {
	if g == nil {
		return nil
	}
	var list []*Message
	for _, part := range [2][]*Message{newerThan(old.batch.list(), pos), newerThan(old.pending.list(), pos)} {
		for _, m := range part {
			// The group has a message once: on the first of its channels that the draft named.
			for ; m != nil; m = m.next {
				if old.Takes(m.Channel) && g.Takes(m.Channel) {
					list = append(list, m)
					break
				}
			}
		}
	}
	return list
}

// resumeLocked adds the stored messages of ch since after, and a gap if some may be missing.
func (r *Replay) resumeLocked(h *Hub, ch *channel, after ID) {
	if after > h.last {
		after = 0 // not an ID of this hub; every floor is greater, so the client gets a gap
	}
	if ch.pattern {
		r.resumePatternLocked(h, ch.name, after)
		return
	}
	if through, gap := h.gapLocked(ch.floor, after); gap {
		r.Gaps = append(r.Gaps, Gap{ch.name, through})
	}
	if ch.hist != nil {
		r.Messages = h.held.appendSince(r.Messages, ch.hist, after)
		h.held.touch(ch.hist)
	}
}

// sort sorts the messages by ID. Of one that several channels have, the first stays, and knows the others.
func (r *Replay) sort() {
	list := r.Messages
	slices.SortStableFunc(list, byID)
	n := 0
	for from, to := 0, 0; from < len(list); from = to {
		for to = from + 1; to < len(list) && list[to].ID == list[from].ID; to++ {
		}
		first := list[from]
		if first.next == nil && to-from > 1 {
			first = list[to-1]
			for i := to - 2; i >= from; i-- {
				first = list[i].on(first)
			}
		}
		list[n] = first
		n++
	}
	clear(list[n:])
	r.Messages = list[:n]
}

func byID(a, b *Message) int { return cmp.Compare(a.ID, b.ID) }
