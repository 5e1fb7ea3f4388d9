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
		oldest, evict := l.Add("anna", c, Newest, now)
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

// TestUserLimiterMoves: connections of another process have the order that they had there, in whatever order they come.
func TestUserLimiterMoves(t *testing.T) {
	from, to := NewUserLimiter[int](4), NewUserLimiter[int](3)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for c := 1; c <= 5; c++ { // the first is closed for the last
		from.Add("anna", c, Newest, now)
	}
	if r := from.Rank("anna", 1); r != 0 {
		t.Errorf("rank %d of one that is not counted", r)
	}
	for _, c := range []int{4, 2, 5} {
		if oldest, evict := to.Add("anna", c, from.Rank("anna", c), now); evict {
			t.Errorf("%d is closed", oldest)
		}
	}
	if oldest, evict := to.Add("anna", 3, from.Rank("anna", 3), now); !evict || oldest != 2 { // the limit is lower
		t.Errorf("%d is closed; want the oldest", oldest)
	}
	for want := 3; want <= 5; want++ {
		if oldest, _ := to.Add("anna", 10+want, Newest, now); oldest != want {
			t.Errorf("%d is closed; want %d", oldest, want)
		}
	}
}
