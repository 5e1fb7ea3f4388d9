package hub

import "sync/atomic"

// Track counts what becomes of a draft whose publisher wants to know.
type Track struct {
	delivered, queued atomic.Int64

	open  int           // guarded by Hub.mu: its messages that lanes still have
	donec chan struct{} // closed by the Hub when there are none left
}

// Done returns a channel that is closed when every subscriber was handed the message, or is gone.
func (t *Track) Done() <-chan struct{} { return t.donec }

// Counts returns how many subscribers' sockets have taken the message, and how many subscribers had to queue it. The other
// subscribers of a draft that is done had gone by then, or were closed for being too slow.
func (t *Track) Counts() (delivered, queued int) {
	return int(t.delivered.Load()), int(t.queued.Load())
}

// Delivered counts a subscriber whose socket has taken the message. The subscriber calls it.
func (m *Message) Delivered() {
	if m.track != nil {
		m.track.delivered.Add(1)
	}
}

// Queued counts a subscriber that keeps the message until its socket takes it. The subscriber calls it.
func (m *Message) Queued() {
	if m.track != nil {
		m.track.queued.Add(1)
	}
}

// holdLocked notes that lanes have m, releaseLocked that they no longer have.
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
