// Package occupancy collects which channels became occupied or vacant.
package occupancy

// Change is a change of a channel between two calls of Take. Was and Is say whether the channel had subscribers at the
// first and at the second. If both are false, it had some in between.
type Change struct {
	Channel string
	Was, Is bool
}

// Changes are the channels that got their first subscriber or lost their last one since the last Take. It is a state, not
// a queue: a channel is in it once, however often it changes, so nothing must be dropped between two rare calls. The zero
// Changes has none.
type Changes struct {
	list  []Change
	index map[string]int // in list, by channel
}

// Empty reports whether there are none.
func (o *Changes) Empty() bool { return len(o.list) == 0 }

// Note adds that a channel has its first subscriber, or has lost its last one.
func (o *Changes) Note(channel string, is bool) {
	if i, ok := o.index[channel]; ok {
		o.list[i].Is = is
		return
	}
	if o.index == nil {
		o.index = make(map[string]int)
	}
	o.index[channel] = len(o.list)
	o.list = append(o.list, Change{Channel: channel, Was: !is, Is: is})
}

// Take returns the changes since the last call, in the order of each channel's first change. A channel's Was is the Is of
// its last change; at first it is false.
func (o *Changes) Take() []Change {
	list := o.list
	o.list = nil
	if len(o.index) > 64 { // a map never shrinks
		o.index = make(map[string]int)
	}
	clear(o.index)
	return list
}
