package upgrade

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"holdfast/internal/park"
)

// crowdPause is how long after one connection of a user was closed for a newer one the next is.
const crowdPause = 10 * time.Second

// crowd knows how many connections each user has, on all loops, if there is a limit.
type crowd struct {
	limit int // zero: none, and nothing is noted

	mu    sync.Mutex
	users map[string]*company
}

// company is one user's connections.
type company struct {
	seats []seat    // the longest held first
	moved time.Time // when one was last closed for a newer one
}

// seat is a connection and its loop.
type seat struct {
	ref  park.Ref
	loop *park.Loop
}

// full reports whether one more connection of the user is to be refused.
func (c *crowd) full(user string, now time.Time) bool {
	if c.limit == 0 || user == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[user]
	return u != nil && len(u.seats) >= c.limit && now.Sub(u.moved) < crowdPause
}

// enter notes a connection. If it is one too many, the one that has been held the longest is to be closed.
func (c *crowd) enter(user string, s seat, now time.Time) (oldest seat, over bool) {
	if c.limit == 0 {
		return seat{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[user]
	if u == nil {
		u = new(company)
		c.users[user] = u
	}
	u.seats = append(u.seats, s)
	if len(u.seats) <= c.limit {
		return seat{}, false
	}
	oldest, u.moved = u.seats[0], now
	u.seats = slices.Delete(u.seats, 0, 1)
	return oldest, true
}

// leave forgets a connection, if it is not one that was to be closed.
func (c *crowd) leave(user string, s seat) {
	if c.limit == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[user]
	if u == nil {
		return
	}
	if i := slices.Index(u.seats, s); i >= 0 {
		u.seats = slices.Delete(u.seats, i, i+1)
	}
	if len(u.seats) == 0 {
		delete(c.users, user)
	}
}

// crowded reports whether the user has all the connections that one may have. Not by way of a new one: it may be the
// same client, whose old connection is dead and not yet known to be.
func (k *Keeper) crowded(user string) bool {
	if !k.crowd.full(user, time.Now()) {
		return false
	}
	k.o.Log.Info("hold refused: push.max_connections_per_user are held", "limit", k.crowd.limit, "user", user)
	return true
}

const crowdedWhy = "too many connections of this user are held"

// retryCrowded is the Retry-After of who is refused: one of the others may be closed then.
var retryCrowded = strconv.Itoa(int(crowdPause / time.Second))

// seat notes a connection of a user, and closes the user's oldest if there are too many.
func (x *held) seat(user string) {
	k := x.k
	oldest, over := k.crowd.enter(user, seat{x.c.Ref(), x.c.Loop()}, time.Now())
	if !over {
		return
	}
	oldest.ref.Post(oldest.loop, func(c *park.Conn) {
		if x, ok := c.Handler().(*held); ok && x.session != nil && x.session.user == user {
			k.o.Log.Info("connection closed for a newer one: push.max_connections_per_user are held",
				"limit", k.crowd.limit, "user", user, "kind", x.form.transport(), "client", c.RemoteAddr())
			x.expel(429, crowdedWhy, crowdedOut)
		}
	})
}
