package upgrade

import (
	"testing"
	"time"

	"holdfast/internal/park"
)

// TestCrowd: who is the oldest, how often it goes, and that nobody is kept in mind who has left.
func TestCrowd(t *testing.T) {
	c := crowd{limit: 2, users: map[string]*company{}}
	loops := make([]*park.Loop, 5)
	for i := range loops {
		loops[i] = new(park.Loop)
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	enter := func(i int) *park.Loop {
		oldest, over := c.enter("anna", seat{loop: loops[i]}, now)
		if over != (oldest.loop != nil) {
			t.Errorf("%d: over %v", i, over)
		}
		return oldest.loop
	}
	if enter(0) != nil || enter(1) != nil || c.full("anna", now) {
		t.Error("two may be held, and the first that is too many closes one")
	}
	if enter(2) != loops[0] || !c.full("anna", now.Add(crowdPause-1)) || c.full("anna", now.Add(crowdPause)) || c.full("bert", now) || c.full("", now) {
		t.Error("the next one is to be refused for a while, and nobody else's")
	}
	if enter(3) != loops[1] { // decided before the one before was held
		t.Error("the oldest is another now")
	}
	c.leave("anna", seat{loop: loops[0]}) // closed at last; it has no seat any more
	c.leave("anna", seat{loop: loops[2]})
	if c.full("anna", now) {
		t.Error("there is room again")
	}
	c.leave("anna", seat{loop: loops[3]})
	c.leave("anna", seat{loop: loops[3]})
	if len(c.users) != 0 {
		t.Errorf("%d users are kept in mind", len(c.users))
	}
}
