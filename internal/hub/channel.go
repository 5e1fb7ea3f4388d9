package hub

import (
	"hash/maphash"
	"strings"
)

// channel is one name that somebody subscribes to or that has history; it is forgotten when neither is
// left. All fields are guarded by Hub.mu.
type channel struct {
	name        string // never changed
	groups      []*Group
	hist        *history // nil when nothing is kept
	last        ID       // newest message accepted here while the channel existed; 0 when there was none
	floor       ID       // newest message that may have been here and is not kept
	subscribers int
	pattern     bool // it stands for all channels that its name matches; never changed
	watched     bool // Options.Watch wants to know of its first and last subscriber
	kept        bool // a store has what is kept of it; never changed
}

// channelLocked returns the channel of that name, made if need be. Kept says whether a store has what is kept of it.
func (h *Hub) channelLocked(name string, kept bool) *channel {
	ch := h.channels[name]
	if ch == nil {
		// The name may be a piece of a long URL, or of a buffer: a copy keeps only itself alive.
		ch = &channel{name: strings.Clone(name), floor: *h.lostFloor(name, kept), kept: kept}
		h.channels[ch.name] = ch
		if h.wild.lost != nil && isPattern(name) {
			ch.pattern = true
			h.wild.insert(ch)
		}
	}
	return ch
}

// forgetLocked lets go of ch if nobody subscribes to it and it has no history.
func (h *Hub) forgetLocked(ch *channel) {
	if len(ch.groups) > 0 || ch.hist != nil {
		return
	}
	delete(h.channels, ch.name)
	if ch.pattern {
		h.wild.remove(ch)
		return
	}
	lost := h.lostFloor(ch.name, ch.kept)
	*lost = max(*lost, ch.floor)
}

// lostFloor returns the floor for a channel of that name that does not exist: never less than its own
// was when it was forgotten, perhaps more, since names share entries. Those that a store keeps have entries of
// their own, which outlive the process.
func (h *Hub) lostFloor(name string, kept bool) *ID {
	if kept {
		return &h.saving.lost[lostSlot(name)]
	}
	return &h.lost[maphash.String(h.seed, name)%uint64(len(h.lost))]
}

// pushLocked appends m to every group of ch that does not have it from another channel of the same draft.
// It returns how many subscribers that makes.
func (ch *channel) pushLocked(m *Message, wake []*Lane) (subscribers int, _ []*Lane) {
	for _, g := range ch.groups {
		if n := len(g.pending); n > 0 && g.pending[n-1].ID == m.ID {
			continue
		}
		subscribers += int(g.count)
		if g.lane.pushLocked(g, m) {
			wake = append(wake, g.lane)
		}
	}
	return subscribers, wake
}
