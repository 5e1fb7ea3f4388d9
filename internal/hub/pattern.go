package hub

import (
	"strings"

	"holdfast/internal/floor"
	"holdfast/internal/wildcard"
)

// A pattern is a name in a set that stands for many channels: "orders.*" for all names with one segment more than
// orders, "orders.**" for those with one or more. It is a channel of its own, to which nothing is published and which
// has no history: its groups get the messages of the channels that it matches.

func isPattern(name string) bool                             { return wildcard.Is(name) }
func splitPattern(pattern string) (prefix string, rest bool) { return wildcard.Split(pattern) }
func matches(pattern, name string) bool                      { return wildcard.Matches(pattern, name) }

// wildcards are the patterns with subscribers, and the floors of all patterns. All fields are guarded by Hub.mu.
type wildcards struct {
	branches map[string]*branch // by the beginning of the names that they match, with its last dot
	depths   []int              // how many branches have that number of segments
	lost     []ID               // see wildFloor; nil: there are no patterns
	fresh    history            // the histories in a ring list by links.fresh, from the newest message to the oldest
}

// branch has the patterns that begin with the same segments.
type branch struct{ one, rest *channel }

func (b *branch) of(pattern string) **channel {
	if _, rest := splitPattern(pattern); rest {
		return &b.rest
	}
	return &b.one
}

func (w *wildcards) insert(ch *channel) {
	prefix, _ := splitPattern(ch.name)
	b := w.branches[prefix]
	if b == nil {
		b = new(branch)
		w.branches[prefix] = b
		depth := strings.Count(prefix, ".")
		for len(w.depths) <= depth {
			w.depths = append(w.depths, 0)
		}
		w.depths[depth]++
	}
	*b.of(ch.name) = ch
}

func (w *wildcards) remove(ch *channel) {
	prefix, _ := splitPattern(ch.name)
	b := w.branches[prefix]
	if *b.of(ch.name) = nil; *b == (branch{}) {
		delete(w.branches, prefix)
		w.depths[strings.Count(prefix, ".")]--
	}
}

// pushLocked appends m to the groups of all patterns that match its channel, except groups that have its draft already.
// It looks up at most one name per segment of the channel.
func (w *wildcards) pushLocked(m *Message, wake []*Lane) (subscribers int, _ []*Lane) {
	if len(w.branches) == 0 {
		return 0, wake
	}
	name, at, n := m.Channel, 0, 0
	for depth := 0; depth < len(w.depths) && at < len(name); depth++ {
		dot := strings.IndexByte(name[at:], '.')
		if w.depths[depth] > 0 {
			if b := w.branches[name[:at]]; b != nil {
				if b.rest != nil {
					n, wake = b.rest.pushLocked(m, wake)
					subscribers += n
				}
				if b.one != nil && dot < 0 {
					n, wake = b.one.pushLocked(m, wake)
					subscribers += n
				}
			}
		}
		if dot < 0 {
			break
		}
		at += dot + 1
	}
	return subscribers, wake
}

// count returns how many subscribers have a pattern that matches a name.
func (w *wildcards) count(name string) (subscribers int) {
	if len(w.branches) == 0 {
		return 0
	}
	for at := 0; ; {
		dot := strings.IndexByte(name[at:], '.')
		if b := w.branches[name[:at]]; b != nil {
			if b.rest != nil {
				subscribers += int(b.rest.subscribers)
			}
			if b.one != nil && dot < 0 {
				subscribers += int(b.one.subscribers)
			}
		}
		if dot < 0 {
			return subscribers
		}
		at += dot + 1
	}
}

// wildFloor returns the newest ID that may be lost of the channels that a pattern matches. It may be too high, as
// patterns share entries, but never too low.
func (h *Hub) wildFloor(pattern string) *ID {
	return &h.wild.lost[floor.Slot(h.origin.seed, pattern)%lostFloors]
}

// loseToPatternsLocked raises the floors of all patterns that match a channel whose message is not stored, or dropped.
func (h *Hub) loseToPatternsLocked(name string, id ID) {
	if h.wild.lost == nil {
		return
	}
	var room [256 + len("**")]byte
	for at, more := 0, true; more; {
		dot := strings.IndexByte(name[at:], '.')
		more = dot >= 0
		pattern := append(append(room[:0], name[:at]...), "**"...)
		h.loseToLocked(pattern, id)
		if !more { // * is the last segment
			h.loseToLocked(pattern[:at+1], id)
		}
		at += dot + 1
	}
}

func (h *Hub) loseToLocked(pattern []byte, id ID) {
	lost := &h.wild.lost[floor.Slot(h.origin.seed, pattern)%lostFloors]
	*lost = max(*lost, id)
}

// Takes reports whether members of the group get the channel's messages: the set has the channel, or a pattern that
// matches it. It needs no lock.
func (g *Group) Takes(channel string) bool {
	if g == nil || !g.wild {
		return g.Holds(channel)
	}
	for i := range g.links {
		if ch := g.links[i].channel; ch.name == channel || ch.pattern && matches(ch.name, channel) {
			return true
		}
	}
	return false
}

// resumePatternLocked adds the stored messages since after of all channels that a pattern matches, and one gap, in the
// name of the pattern, if some may be missing. It visits the histories with a message since then, and does not count as
// a use of them.
func (r *Replay) resumePatternLocked(h *Hub, pattern string, after ID) {
	if through, gap := h.gapLocked(*h.wildFloor(pattern), after); gap {
		r.Gaps = append(r.Gaps, Gap{pattern, through})
	}
	h.wild.eachSince(pattern, after, func(k *history) { r.Messages = h.held.appendSince(r.Messages, k, after) })
}

// eachSince calls f for the histories with a message after an ID whose channels a pattern matches.
func (w *wildcards) eachSince(pattern string, after ID, f func(*history)) {
	for k := w.fresh.fresh.next; k != &w.fresh && (k.channel == nil || k.newest() > after); k = k.fresh.next {
		if k.channel != nil && matches(pattern, k.channel.name) {
			f(k)
		}
	}
}

// moveToFront makes k the history with the newest message.
func (w *wildcards) moveToFront(k *history) {
	w.unlinkRecent(k)
	k.linkBefore(w.fresh.fresh.next)
}

// linkBefore puts k, which is in no list, into the list of wildcards.fresh.
func (k *history) linkBefore(next *history) {
	k.fresh.prev, k.fresh.next = next.fresh.prev, next
	k.fresh.prev.fresh.next, k.fresh.next.fresh.prev = k, k
}

// unlinkRecent takes k out of the list, if it is in it.
func (w *wildcards) unlinkRecent(k *history) {
	if k.fresh.next == nil {
		return
	}
	k.fresh.prev.fresh.next, k.fresh.next.fresh.prev = k.fresh.next, k.fresh.prev
	k.fresh.prev, k.fresh.next = nil, nil
}
