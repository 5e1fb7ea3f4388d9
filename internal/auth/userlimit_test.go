package auth

import (
	"testing"
	"time"
)

// TestUserLimiter: which connection is the oldest, how often one is evicted, and that no user is kept who has left.
func TestUserLimiter(t *testing.T) {
	l := NewUserLimiter[int](2)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	add := func(c int) int {
		oldest, evict := l.Add("anna", c, now)
		if evict != (oldest != 0) {
			t.Errorf("%d: evict %v", c, evict)
		}
		return oldest
	}
	if add(1) != 0 || add(2) != 0 || l.AtLimit("anna", now) {
		t.Error("two may be held, and the first that is too many closes one")
	}
	if add(3) != 1 || !l.AtLimit("anna", now.Add(EvictInterval-1)) || l.AtLimit("anna", now.Add(EvictInterval)) || l.AtLimit("bert", now) || l.AtLimit("", now) {
		t.Error("the next one is to be refused for a while, and nobody else's")
	}
	if add(4) != 2 { // decided before the one before was held
		t.Error("the oldest is another now")
	}
	l.Remove("anna", 1) // closed at last; it is not counted any more
	l.Remove("anna", 3)
	if l.AtLimit("anna", now) {
		t.Error("there is room again")
	}
	l.Remove("anna", 4)
	l.Remove("anna", 4)
	if len(l.users) != 0 {
		t.Errorf("%d users are kept", len(l.users))
	}
}
