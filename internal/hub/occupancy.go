package hub

// Occupancy is a change of a watched channel between two calls of TakeOccupancy. Was and Is say whether the channel had
// subscribers at the first and at the second. If both are false, it had some in between.
type Occupancy struct {
	Channel string
	Was, Is bool
}

// occupancies are the watched channels that got their first subscriber or lost their last one since the last
// TakeOccupancy. It is a state, not a queue: a channel is in it once, however often it changes, so nothing must be
// dropped between two rare calls. All fields are guarded by Hub.mu.
type occupancies struct {
	list  []Occupancy
	index map[string]int // in list, by channel
}

// OnOccupancy sets a function that is called after a watched channel got its first subscriber or lost its last one;
// TakeOccupancy then returns the change. f is called on the lane's goroutine, without a lock. It must not block, nor
// call Join or Leave. Call OnOccupancy before the hub is used.
func (h *Hub) OnOccupancy(f func()) { h.onOccupancy = f }

// TakeOccupancy returns the changes since the last call, in the order of each channel's first change. A channel's Was
// is the Is of its last change; at first it is false.
func (h *Hub) TakeOccupancy() []Occupancy {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.occupancies.list
	h.occupancies.list = nil
	if len(h.occupancies.index) > 64 { // a map never shrinks
		h.occupancies.index = make(map[string]int)
	}
	clear(h.occupancies.index)
	return list
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
	if !ch.watched {
		return
	}
	o := &h.occupancies
	if i, ok := o.index[ch.name]; ok {
		o.list[i].Is = is
		return
	}
	if o.index == nil {
		o.index = make(map[string]int)
	}
	o.index[ch.name] = len(o.list)
	o.list = append(o.list, Occupancy{Channel: ch.name, Was: !is, Is: is})
}

// tellOccupancy calls the function of OnOccupancy if there is a change.
func (h *Hub) tellOccupancy(changed bool) {
	if changed && h.onOccupancy != nil {
		h.onOccupancy()
	}
}
