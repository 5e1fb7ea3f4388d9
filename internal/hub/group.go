package hub

import (
	"encoding/binary"
	"iter"
	"slices"
	"sort"
)

// Group is all subscribers of one lane with exactly the same set of channels. It exists as long as it has members.
type Group struct {
	// Static after construction, but for the index in links.
	lane  *Lane
	links []link // sorted by name; at least one

	// Guarded by Hub.mu.
	pending *batch // accepted, not yet in a batch; from lane.spare, nil if empty
	next    *Group // in the lane's run queue
	single  *Group // in channel.single
	count   uint32 // members
	queued  bool   // in the run queue, or being run
	wild    bool   // never changed: the set has a pattern

	// Owned by the lane's goroutine. The batch is swapped in under Hub.mu.
	cursor  uint32 // members[:cursor] have the batch
	members []Subscriber
	batch   *batch // what the pass in progress delivers; nil between passes

	// Memory for lists of one: most groups have one channel and one member, and fewer objects are less to collect.
	linkRoom   [1]link
	memberRoom [1]Subscriber
}

// batch is messages for a group, by growing ID. A nil batch has none.
type batch []*Message

func (b *batch) list() []*Message {
	if b == nil {
		return nil
	}
	return *b
}

// link is a group's entry in a channel: channel.groups[index] is the group.
type link struct {
	channel *channel
	index   uint32 // guarded by Hub.mu
}

// Channels returns the names of the group's channels, sorted. A nil group has none.
func (g *Group) Channels() []string {
	if g == nil {
		return nil
	}
	names := make([]string, len(g.links))
	for i := range g.links {
		names[i] = g.links[i].channel.name
	}
	return names
}

// Holds reports whether the group's set has the channel, or the pattern, of this name. A nil group has none. It needs
// no lock: of a link it reads the channel only.
func (g *Group) Holds(channel string) bool {
	if g == nil {
		return false
	}
	i := sort.Search(len(g.links), func(i int) bool { return g.links[i].channel.name >= channel })
	return i < len(g.links) && g.links[i].channel.name == channel
}

// As returns m, which a member was handed, as members of this group get it: on its own channel, or on another channel
// of its draft that the set has; nil if there is none.
func (g *Group) As(m *Message) *Message {
	for ; m != nil; m = m.next {
		if g.Takes(m.Channel) {
			return m
		}
	}
	return nil
}

// Of returns m's channel, and of the others of its draft that m knows those that the set has: the channels on which a
// member misses it.
func (g *Group) Of(m *Message) iter.Seq[string] {
	return func(yield func(string) bool) {
		for first := m; m != nil; m = m.next {
			if (m == first || g.Takes(m.Channel)) && !yield(m.Channel) {
				return
			}
		}
	}
}

// add makes s the last member. Its position is up to date already, so a pass in progress skips it.
func (g *Group) add(s Subscriber) {
	p := s.Membership()
	p.group, p.index = g, uint32(len(g.members))
	if g.members = append(g.members, s); len(g.members) == 2 {
		g.memberRoom[0] = nil
	}
}

// remove takes the member at p out. In a pass nobody is visited twice and nobody is missed: a hole
// before the cursor is filled with the last visited member, and the last member moves to its place.
func (g *Group) remove(p *Membership) {
	hole, last := p.index, uint32(len(g.members)-1)
	if hole < g.cursor {
		g.cursor--
		g.move(g.cursor, hole)
		hole = g.cursor
	}
	g.move(last, hole)
	g.members[last] = nil
	g.members = g.members[:last]
	if cap(g.members) > 64 && len(g.members) < cap(g.members)/4 {
		g.members = slices.Clip(slices.Clone(g.members))
	}
	p.group, p.index = nil, 0
}

func (g *Group) move(from, to uint32) {
	if from != to {
		g.members[to] = g.members[from]
		g.members[to].Membership().index = to
	}
}

// groupLocked returns the lane's group with this set of channels (sorted, each once, at least one), and creates it if
// needed.
func (l *Lane) groupLocked(set []*channel) *Group {
	var key string
	var g *Group
	if len(set) == 1 {
		for g = set[0].single; g != nil && g.lane != l; g = g.single {
		}
	} else {
		key = setKey(set)
		g = l.several[key]
	}
	if g != nil {
		return g
	}
	g = &Group{lane: l}
	g.members = g.memberRoom[:0]
	if g.links = g.linkRoom[:]; len(set) > 1 {
		g.links = make([]link, len(set))
	}
	for i, ch := range set {
		g.links[i] = link{ch, uint32(len(ch.groups))}
		if ch.groups = append(ch.groups, g); len(ch.groups) == 2 {
			ch.groupRoom[0] = nil
		}
		g.wild = g.wild || ch.pattern
	}
	if len(set) == 1 {
		set[0].single, g.single = g, set[0].single
	} else {
		l.several[key] = g
	}
	l.hub.groups++
	return g
}

// dropLocked takes a group without members out of its channels. A queued group stays in the queue until its turn, which
// releases its messages.
func (g *Group) dropLocked() {
	l := g.lane
	l.hub.groups--
	if len(g.links) == 1 {
		p := &g.links[0].channel.single
		for *p != g {
			p = &(*p).single
		}
		*p = g.single
	} else {
		set := make([]*channel, len(g.links))
		for i := range g.links {
			set[i] = g.links[i].channel
		}
		delete(l.several, setKey(set))
	}
	for _, k := range g.links {
		k.channel.unlinkLocked(k.index)
		l.hub.forgetLocked(k.channel)
	}
}

// unlinkLocked removes the group at index i, by moving the last one there.
func (ch *channel) unlinkLocked(i uint32) {
	last := len(ch.groups) - 1
	moved := ch.groups[last]
	ch.groups[i] = moved
	ch.groups[last] = nil
	ch.groups = ch.groups[:last]
	if cap(ch.groups) > 64 && last < cap(ch.groups)/4 {
		ch.groups = slices.Clip(slices.Clone(ch.groups))
	}
	at := sort.Search(len(moved.links), func(i int) bool { return moved.links[i].channel.name >= ch.name })
	moved.links[at].index = i
}

// setKey returns a unique key for a set of channels. It uses lengths, not separators, as a name may have any byte.
func setKey(set []*channel) string {
	var b []byte
	for _, ch := range set {
		b = binary.AppendUvarint(b, uint64(len(ch.name)))
		b = append(b, ch.name...)
	}
	return string(b)
}
