package delivery

import "testing"

// TestTrack checks that a track is done when all that was held is released, and what it counts.
func TestTrack(t *testing.T) {
	var none *Track
	none.Hold()
	none.Delivered()
	none.Queued()
	none.Release()
	k := NewTrack()
	k.Hold()
	k.Hold()
	k.Delivered()
	k.Queued()
	k.Delivered()
	k.Release()
	select {
	case <-k.Done():
		t.Error("done before the last")
	default:
	}
	k.Release()
	<-k.Done()
	if delivered, queued := k.Counts(); delivered != 2 || queued != 1 {
		t.Errorf("%d delivered, %d queued", delivered, queued)
	}
}
