package hub

import "sync/atomic"

// Track counts the deliveries of a draft, see Draft.Track.
type Track struct {
	delivered, queued atomic.Int64

	open  int           // guarded by Hub.mu: its messages that are still in lanes
	donec chan struct{} // closed by the Hub when none is left
}

// Done returns a channel that is closed when every subscriber was handed the message, or has left.
func (t *Track) Done() <-chan struct{} { return t.donec }

// Counts returns how many subscribers' sockets have accepted the message, and how many subscribers had to queue it.
// After Done, the other subscribers have left, or were closed as too slow, or their rule dropped the message.
func (t *Track) Counts() (delivered, queued int) {
	return int(t.delivered.Load()), int(t.queued.Load())
}

// Delivered counts a subscriber whose socket has accepted the message. The subscriber calls it.
func (m *Message) Delivered() {
	if m.track != nil {
		m.track.delivered.Add(1)
	}
}

// Queued counts a subscriber that queues the message until its socket accepts it. The subscriber calls it.
func (m *Message) Queued() {
	if m.track != nil {
		m.track.queued.Add(1)
	}
}

// holdLocked counts a message of the draft that lanes hold; releaseLocked ends that.
func (t *Track) holdLocked() {
	if t != nil {
		t.open++
	}
}

func (t *Track) releaseLocked() {
	if t == nil {
		return
	}
	if t.open--; t.open == 0 {
		close(t.donec)
	}
}
