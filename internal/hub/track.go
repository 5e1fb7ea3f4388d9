package hub

import "sync/atomic"

// Track counts what becomes of a draft whose publisher wants to know.
type Track struct {
	took, waits atomic.Int64

	open  int           // guarded by Hub.mu: its messages that lanes still have
	donec chan struct{} // closed by the Hub when there are none left
}

// Done returns a channel that is closed when every subscriber was handed the message, or is gone.
func (t *Track) Done() <-chan struct{} { return t.donec }

// Counts returns by how many subscribers' sockets it was taken, and for how many it had to wait when it was handed over.
// Of a draft that is done, the rest were gone by then, or were closed for being too slow.
func (t *Track) Counts() (took, waits int) { return int(t.took.Load()), int(t.waits.Load()) }

// Took is told by a subscriber whose socket has taken the message.
func (m *Message) Took() {
	if m.track != nil {
		m.track.took.Add(1)
	}
}

// Waits is told by a subscriber that keeps the message until its socket takes it.
func (m *Message) Waits() {
	if m.track != nil {
		m.track.waits.Add(1)
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
