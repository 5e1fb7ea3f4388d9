package hub

import "holdfast/internal/delivery"

// Track counts the deliveries of a draft, see Draft.Track.
type Track = delivery.Track

// Delivered counts a subscriber whose socket has accepted the message. The subscriber calls it.
func (m *Message) Delivered() { m.track.Delivered() }

// Queued counts a subscriber that queues the message until its socket accepts it. The subscriber calls it.
func (m *Message) Queued() { m.track.Queued() }
