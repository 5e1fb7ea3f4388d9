package hub

import "holdfast/internal/occupancy"

// Occupancy is a change of a watched channel between two calls of TakeOccupancy.
type Occupancy = occupancy.Change

// OnOccupancy sets a function that is called after a watched channel got its first subscriber or lost its last one;
// TakeOccupancy then returns the change. f is called on the lane's goroutine, without a lock. It must not block, nor
// call Join or Leave. Call OnOccupancy before the hub is used.
func (h *Hub) OnOccupancy(f func()) { h.onOccupancy = f }

// TakeOccupancy returns the changes of watched channels since the last call.
func (h *Hub) TakeOccupancy() []Occupancy {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.occupancies.Take()
}

// watched calls Options.Watch for every name, before the lock; nil if it is not set.
func (h *Hub) watched(names []string, room []bool) []bool {
	if h.watch == nil {
		return nil
	}
	for _, name := range names {
		room = append(room, !isPattern(name) && h.watch(name))
	}
	return room
}

// occupiedLocked notes that ch has its first subscriber or has lost its last one.
func (h *Hub) occupiedLocked(ch *channel, is bool) {
	if ch.watched {
		h.occupancies.Note(ch.name, is)
	}
}

// tellsLocked reports whether TakeOccupancy has something now.
func tellsLocked(h *Hub) bool { return h.origin.awaited == nil && !h.occupancies.Empty() }

// tellOccupancy calls the function of OnOccupancy if there is a change.
func (h *Hub) tellOccupancy(changed bool) {
	if changed && h.onOccupancy != nil {
		h.onOccupancy()
	}
}
