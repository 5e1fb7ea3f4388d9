package hub

// Occupancy is what became of a watched channel between two calls of TakeOccupancy. Was and Is say whether
// anybody subscribed to it at the one and the other; if neither, somebody did in between.
type Occupancy struct {
	Channel string
	Was, Is bool
}

// occupancies are the watched channels that got their first subscriber or lost their last one and of which
// nobody was told yet. It is a state and no queue: a channel is in it once, however often it changes, so
// nothing has to be dropped when nobody asks for long. All fields are guarded by Hub.mu.
type occupancies struct {
	list  []Occupancy
	index map[string]int // in list, by channel
}

// OnOccupancy sets what is called after a watched channel got its first subscriber or lost its last one:
// TakeOccupancy has it. f is called on the lane's goroutine, without a lock, and must not block nor call
// Join or Leave. Set it before the hub is used.
func (h *Hub) OnOccupancy(f func()) { h.onOccupancy = f }

// TakeOccupancy returns what changed since the last call, in the order of each channel's first change. A
// channel's Was is always the Is that was told of it before; false in the beginning.
func (h *Hub) TakeOccupancy() []Occupancy {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.occupancies.list
	h.occupancies.list = nil
	if len(h.occupancies.index) > 64 { // a map keeps the room that its busiest hour has made
		h.occupancies.index = make(map[string]int)
	}
	clear(h.occupancies.index)
	return list
}

// watched asks the rule about every name, before the lock; nil when nothing is watched.
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

// tellOccupancy calls who wants to know if there is something to know.
func (h *Hub) tellOccupancy(changed bool) {
	if changed && h.onOccupancy != nil {
		h.onOccupancy()
	}
}
