// Package delivery counts what becomes of a message.
package delivery

import "sync/atomic"

// Track counts the deliveries of a draft. The methods of a nil Track do nothing.
type Track struct {
	delivered, queued atomic.Int64

	open  int           // its messages that are not handed over yet; guarded by who calls Hold and Release
	donec chan struct{} // closed when none is left
}

// NewTrack returns a Track.
func NewTrack() *Track { return &Track{donec: make(chan struct{})} }

// Done returns a channel that is closed when every subscriber was handed the message, or has left.
func (t *Track) Done() <-chan struct{} { return t.donec }

// Counts returns how many subscribers' sockets have accepted the message, and how many subscribers had to queue it.
// After Done, the other subscribers have left, or were closed as too slow, or their rule dropped the message.
func (t *Track) Counts() (delivered, queued int) {
	return int(t.delivered.Load()), int(t.queued.Load())
}

// Delivered counts a subscriber whose socket has accepted the message.
func (t *Track) Delivered() {
	if t != nil {
		t.delivered.Add(1)
	}
}

// Queued counts a subscriber that queues the message until its socket accepts it.
func (t *Track) Queued() {
	if t != nil {
		t.queued.Add(1)
	}
}

// Hold counts a message of the draft that is to be handed over; Release ends that. One goroutine at a time calls them.
func (t *Track) Hold() {
	if t != nil {
		t.open++
	}
}

// Release ends what Hold has begun.
func (t *Track) Release() {
	if t == nil {
		return
	}
	if t.open--; t.open == 0 {
		close(t.donec)
	}
}
