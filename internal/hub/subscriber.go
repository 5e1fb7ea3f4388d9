package hub

// Subscriber is whoever gets messages. All its methods are called on its lane's goroutine.
type Subscriber interface {
	// Membership returns the Membership that the subscriber embeds, always the same.
	Membership() *Membership

	// Deliver hands over messages by growing id, each newer than all before; Position is already that of
	// the last one. It must not block. The slice belongs to the hub and is reused, the messages
	// may be kept. Deliver may call Leave and Join of its lane, for itself or any other member, and
	// Publish; not Step.
	Deliver(batch []*Message)
}

// Membership is the group that a subscriber belongs to and its position there: 24 bytes, embedded in it. Its
// methods are for the lane's goroutine only. The zero Membership belongs to no group.
type Membership struct {
	group *Group // nil when not subscribed
	index uint32 // in group.members
	pos   ID     // the newest id that was handed over, or that nothing is owed up to
}

// Position returns the id to resume after: everything up to it was handed over. It outlives Leave.
func (p *Membership) Position() ID { return p.pos }

// Group returns the group the subscriber is a member of, nil when it is not subscribed.
func (p *Membership) Group() *Group { return p.group }
