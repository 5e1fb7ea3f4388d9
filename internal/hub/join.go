package hub

import (
	"cmp"
	"slices"
)

// Replay is what Join owes the subscriber at once: the gaps, then the messages.
type Replay struct {
	Messages []*Message // by growing id, one per id
	Gaps     []Gap      // by channel name
}

// Gap says that messages of a channel, after the id the subscriber resumed from and up to Through, may
// have existed and are not kept. What Replay has of the channel comes on top.
type Gap struct {
	Channel string
	Through ID
}

// Join subscribes s to a set of channels (in any order, repetitions do not matter). Without resume nothing
// is replayed. With resume, Replay has what the channels kept since after, and a Gap for every channel
// that may have lost something since; an id that this hub cannot have given out, from before its start
// or from its future, gets a gap for every channel and all that is kept. Position is the newest id that
// the hub has accepted: whatever comes later is delivered.
//
// A subscriber that is already subscribed moves. What it is owed on channels that are in both sets comes
// in Replay, without a gap; after and resume then speak of the channels that are new to it. An after older
// than Position may bring a message that it had on another channel a second time.
//
// A name may be a pattern, where Options.Wildcards is set: it is new, kept or left like any other, what is replayed of
// it is what all the channels have that it matches, and its gap says that any of them may have lost something.
//
// With no channels at all s is not subscribed afterwards, and has a Position all the same.
func (l *Lane) Join(s Subscriber, channels []string, after ID, resume bool) Replay {
	if !resume {
		return l.join(s, channels, nil)
	}
	return l.join(s, channels, func(r *Replay, ch *channel) { r.resumeLocked(l.hub, ch, after) })
}

// JoinNewest is Join without resume for who has nothing yet: Replay has what Newest returned for the channels, as far as it
// is still kept, and what they have kept since. No gap is told, as nothing is missed.
func (l *Lane) JoinNewest(s Subscriber, channels []string, newest Newest) Replay {
	first := true
	r := l.join(s, channels, func(r *Replay, ch *channel) {
		if first {
			r.Messages, first = newest.stillKeptLocked(r.Messages), false
		}
		r.resumeLocked(l.hub, ch, newest.position)
	})
	return Replay{Messages: r.Messages}
}

// join subscribes s; replay, if not nil, adds what is owed of a channel that is new to it, under the lock.
func (l *Lane) join(s Subscriber, channels []string, replay func(*Replay, *channel)) Replay {
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
	changed := len(h.occupancies.list) > 0
	h.mu.Unlock()

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

// Leave ends the subscription of s; what it was still owed goes with it. It may come back with a resume
// from its Position. Leave of one that is not subscribed does nothing.
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
	changed := len(h.occupancies.list) > 0
	h.mu.Unlock()
	g.remove(p)
	h.tellOccupancy(changed)
}

// check panics if a subscriber is handled by another lane than its own: its fields would race.
func (l *Lane) check(g *Group) {
	if g != nil && g.lane != l {
		panic("hub: subscriber of another lane")
	}
}

// leaveLocked counts one member off.
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

// undelivered returns what a member of old at pos has not been handed yet and still concerns it in g.
func undelivered(old *Group, pos ID, g *Group) []*Message {
	if g == nil {
		return nil
	}
	var list []*Message
	for _, part := range [2][]*Message{newerThan(old.batch, pos), newerThan(old.pending, pos)} {
		for _, m := range part {
			// The group has a message once, under the first of its channels that the draft named.
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

// resumeLocked adds what ch has kept since after, and the gap if there may have been more.
func (r *Replay) resumeLocked(h *Hub, ch *channel, after ID) {
	if after > h.last {
		after = 0 // not an id of ours; every floor is above, so this is a gap
	}
	if ch.pattern {
		r.resumePatternLocked(h, ch.name, after)
		return
	}
	if through, gap := h.gapLocked(ch.floor, after); gap {
		r.Gaps = append(r.Gaps, Gap{ch.name, through})
	}
	if ch.hist != nil {
		r.Messages = ch.hist.appendSince(r.Messages, after)
		h.held.touch(ch.hist)
	}
}

// sort brings the channels' messages into the order of ids and leaves one of each.
func (r *Replay) sort() {
	slices.SortStableFunc(r.Messages, byID)
	r.Messages = slices.CompactFunc(r.Messages, sameID)
}

func byID(a, b *Message) int    { return cmp.Compare(a.ID, b.ID) }
func sameID(a, b *Message) bool { return a.ID == b.ID }
