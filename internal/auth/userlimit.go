package auth

import (
	"slices"
	"sync"
	"time"
)

// EvictInterval is how long after one connection of a user was closed for a newer one the next is.
const EvictInterval = 10 * time.Second

// UserLimiter limits the connections of each user. C refers to one. Any goroutine may call it.
type UserLimiter[C comparable] struct {
	limit int // zero: none, and nothing is noted

	mu    sync.Mutex
	users map[string]*userConns[C]
}

// userConns are one user's connections.
type userConns[C comparable] struct {
	conns   []C       // the longest held first
	evicted time.Time // when one was last closed for a newer one
}

// NewUserLimiter returns a limiter. Zero is no limit.
func NewUserLimiter[C comparable](limit int) *UserLimiter[C] {
	return &UserLimiter[C]{limit: limit, users: map[string]*userConns[C]{}}
}

// AtLimit reports whether one more connection of the user is to be refused. Not because of a new one: it may be the
// same client, whose old connection is dead and not yet known to be.
func (l *UserLimiter[C]) AtLimit(user string, now time.Time) bool {
	if l.limit == 0 || user == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[user]
	return u != nil && len(u.conns) >= l.limit && now.Sub(u.evicted) < EvictInterval
}

// Add notes a connection. If it is one too many, the one that has been held the longest is to be closed.
func (l *UserLimiter[C]) Add(user string, c C, now time.Time) (oldest C, evict bool) {
	if l.limit == 0 {
		return oldest, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[user]
	if u == nil {
		u = new(userConns[C])
		l.users[user] = u
	}
	u.conns = append(u.conns, c)
	if len(u.conns) <= l.limit {
		return oldest, false
	}
	oldest, u.evicted = u.conns[0], now
	u.conns = slices.Delete(u.conns, 0, 1)
	return oldest, true
}

// Remove drops a connection, if it is not one that was to be closed.
func (l *UserLimiter[C]) Remove(user string, c C) {
	if l.limit == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[user]
	if u == nil {
		return
	}
	if i := slices.Index(u.conns, c); i >= 0 {
		u.conns = slices.Delete(u.conns, i, i+1)
	}
	if len(u.conns) == 0 {
		delete(l.users, user)
	}
}
