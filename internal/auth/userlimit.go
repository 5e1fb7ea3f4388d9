package auth

import (
	"slices"
	"sync"
	"time"
)

// EvictInterval is the least time between two connections of a user that are closed for newer ones.
const EvictInterval = 10 * time.Second

// UserLimiter limits the connections of each user. C refers to one. Any goroutine may call it.
type UserLimiter[C comparable] struct {
	limit int // zero: none, and nothing is counted

	mu    sync.Mutex
	users map[string]*userConns[C]
}

// userConns are one user's connections.
type userConns[C comparable] struct {
	conns   []C       // oldest first
	evicted time.Time // when one was last closed for a newer one
}

// NewUserLimiter returns a limiter. Zero is no limit.
func NewUserLimiter[C comparable](limit int) *UserLimiter[C] {
	return &UserLimiter[C]{limit: limit, users: map[string]*userConns[C]{}}
}

// AtLimit reports whether to refuse another connection of the user. At the limit it refuses only within EvictInterval,
// as a new connection may replace a dead one of the same client.
func (l *UserLimiter[C]) AtLimit(user string, now time.Time) bool {
	if l.limit == 0 || user == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[user]
	return u != nil && len(u.conns) >= l.limit && now.Sub(u.evicted) < EvictInterval
}

// Add adds a connection. If evict is true, the caller must close oldest.
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

// Remove removes a connection, unless Add has returned it to be closed.
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
