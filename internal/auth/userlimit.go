package auth

import (
	"math"
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
	conns   []ranked[C] // oldest first
	evicted time.Time   // when one was last closed for a newer one
}

// ranked is a connection and its place in time: newer ones of the user have a greater rank.
type ranked[C comparable] struct {
	conn C
	rank uint64
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

// Newest is the rank of a connection that has just begun.
const Newest uint64 = math.MaxUint64

// Add adds a connection: the newest, or one of another process, with the rank that it has there. If evict is true, the
// caller must close oldest.
func (l *UserLimiter[C]) Add(user string, c C, rank uint64, now time.Time) (oldest C, evict bool) {
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
	n := len(u.conns)
	switch {
	case rank < Newest:
		for n > 0 && u.conns[n-1].rank > rank {
			n--
		}
	case n > 0:
		rank = u.conns[n-1].rank + 1
	default:
		rank = 1
	}
	u.conns = slices.Insert(u.conns, n, ranked[C]{c, rank})
	if len(u.conns) <= l.limit {
		return oldest, false
	}
	oldest, u.evicted = u.conns[0].conn, now
	u.conns = slices.Delete(u.conns, 0, 1)
	return oldest, true
}

// Rank returns the rank of a connection; zero: it is not counted.
func (l *UserLimiter[C]) Rank(user string, c C) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.users[user]; u != nil {
		if i := u.index(c); i >= 0 {
			return u.conns[i].rank
		}
	}
	return 0
}

func (u *userConns[C]) index(c C) int {
	return slices.IndexFunc(u.conns, func(r ranked[C]) bool { return r.conn == c })
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
	if i := u.index(c); i >= 0 {
		u.conns = slices.Delete(u.conns, i, i+1)
	}
	if len(u.conns) == 0 {
		delete(l.users, user)
	}
}
