package hub

import (
	"strings"

	"holdfast/internal/floor"
)

// channel is one name with subscribers or history; without both it is deleted. All fields are guarded by Hub.mu.
type channel struct {
	name        string   // never changed
	groups      []*Group // at first in groupRoom
	single      *Group   // list of those whose set is this channel alone, at most one of each lane, by Group.single
	hist        *history // nil without stored messages
	last        ID       // newest message since the channel exists; 0: none
	floor       ID       // newest message that may have existed and is not stored
	subscribers uint32
	pattern     bool // its name is a pattern; never changed
	watched     bool // TakeOccupancy reports its first and last subscriber
	kept        bool // its history is in a store, too; never changed

	groupRoom [1]*Group
}

// channelLocked returns the channel of that name, and creates it if needed. kept means that its history is in a store,
// too.
func (h *Hub) channelLocked(name string, kept bool) *channel {
	ch := h.channels[name]
	if ch == nil {
		// The name may be a part of a long URL or of a buffer: only a copy lets these be freed.
		ch = &channel{name: strings.Clone(name), floor: *h.lostFloor(name, kept), kept: kept}
		if m := h.origin.awaited[name]; m != nil {
			ch.floor, ch.last = max(ch.floor, m.Floor), m.Last
			delete(h.origin.awaited, name)
		}
		ch.groups = ch.groupRoom[:0]
		h.channels[ch.name] = ch
		if h.wild.lost != nil && isPattern(name) {
			ch.pattern = true
			h.wild.insert(ch)
		}
	}
	return ch
}

// forgetLocked deletes ch if it has no subscribers and no history.
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

// lostFloor returns the floor for a channel of that name that does not exist. It is never less than the channel's own
// floor was when it was deleted, but may be more, as names share entries. Channels with a store have other entries,
// which outlive the process.
func (h *Hub) lostFloor(name string, kept bool) *ID {
	if kept {
		return &h.saving.lost[lostSlot(name)]
	}
	return &h.lost[floor.Slot(h.origin.seed, name)%lostFloors]
}

// pushLocked appends m to every group of ch that does not have it from another channel of the same draft. It returns
// the number of their subscribers.
func (ch *channel) pushLocked(m *Message, wake []*Lane) (subscribers int, _ []*Lane) {
	for _, g := range ch.groups {
		if p := g.pending.list(); len(p) > 0 && p[len(p)-1].ID == m.ID {
			continue
		}
		subscribers += int(g.count)
		if g.lane.pushLocked(g, m) {
			wake = append(wake, g.lane)
		}
	}
	return subscribers, wake
}
