package hub

// Subscriber receives messages. All its methods are called on its lane's goroutine.
type Subscriber interface {
	// Membership returns the subscriber's Membership, always the same one.
	Membership() *Membership

	// Deliver hands over messages, by growing ID, each newer than all before; Position is already that of the last one.
	// It must not block. The hub reuses the slice; the messages may be kept. Deliver may call Leave and Join of its
	// lane, for itself or any other member, and Publish, but not Step.
	Deliver(batch []*Message)
}

// Membership is the group of a subscriber and its position there: 24 bytes, a field of the subscriber. Its methods are
// for the lane's goroutine only. The zero Membership has no group.
type Membership struct {
	group *Group // nil when not subscribed
	index uint32 // in group.members
	pos   ID     // everything up to this ID was handed over, or is not for this subscriber
}

// Position returns the ID to resume after: everything up to it was handed over. It stays valid after Leave.
func (p *Membership) Position() ID { return p.pos }

// Group returns the group the subscriber is a member of, nil when it is not subscribed.
func (p *Membership) Group() *Group { return p.group }
