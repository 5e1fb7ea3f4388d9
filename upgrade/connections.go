package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/gobwas/ws"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/ending"
)

// isMeant reports whether a connection is held and selected.
func isMeant(x *held, s *connection.Selection) bool {
	return !x.answered && (s.User == "" || x.session.User() == s.User) && (s.Channel == "" || x.membership.Group().Takes(s.Channel))
}

// onEach runs f with every selected connection, on its loop, and returns after the last, or when the loops end. Don't
// call it on a loop.
func (k *Keeper) onEach(s connection.Selection, f func(*held)) {
	k.index.Each(s, func(x *held) {
		if isMeant(x, &s) {
			step(x, func() { f(x) })
		}
	})
}

// List describes the first limit of the selected connections, by ID, and returns how many there are.
func (k *Keeper) List(s connection.Selection, limit int) (list []connection.Info, total int) {
	var mu sync.Mutex // loops write at the same time
	k.onEach(s, func(x *held) {
		mu.Lock()
		defer mu.Unlock()
		if total++; len(list) < limit {
			list = append(list, x.connection(x.membership.Group().Channels()))
		}
	})
	slices.SortFunc(list, func(a, b connection.Info) int { return cmp.Compare(a.ID, b.ID) })
	return list, total
}

// Change subscribes the selected connections to join and unsubscribes them from leave. The app requests that, so it is
// not asked for authorization. n is how many now have all of join, or had some of leave; refused counts the unchanged
// ones by error text. When Change returns, messages published later to join reach them, and no more of leave do.
func (k *Keeper) Change(s connection.Selection, join, leave []string) (n int, refused map[string]int) {
	var mu sync.Mutex
	for _, name := range leave { // or a cached or pending authorization would still allow the channel
		k.auth.Revoke(auth.Revocation{User: s.User, Connection: s.Connection, Channel: name})
	}
	refused = make(map[string]int)
	k.onEach(s, func(x *held) {
		concerned, err := applyServerChange(x, join, leave)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			refused[err.Error()]++
		case concerned:
			n++
		}
	})
	return n, refused
}

// applyServerChange makes a change that the app requests, and reports whether it concerns the connection. A long poll
// that is to leave a channel gets its response: its channels are those of its request, and its next request is
// authorized again.
func applyServerChange(x *held, join, leave []string) (concerned bool, err error) {
	g := x.membership.Group()
	for _, name := range leave {
		if p := auth.PatternOf(channel.Without(g.Channels(), slices.Sorted(slices.Values(leave))), name); p != "" {
			return true, fmt.Errorf("the subscription to the pattern %s has this channel; unsubscribe from the whole pattern", p)
		}
	}
	leaves := slices.ContainsFunc(leave, g.Holds)
	joins := slices.ContainsFunc(join, func(name string) bool { return !g.Holds(name) })
	switch {
	case !joins && !leaves:
		return len(join) > 0, nil
	case x.form.asksAgain() && !joins:
		x.form.conclude(x)
		return true, nil
	}
	q := queryOf(x, join)
	q.Server, q.Grant = true, nil
	if d := auth.Decide(x.k.live().Rules, &q); d.Outcome != auth.Granted {
		x.k.requests().LogRefused(&d, x.client())
		return true, d.Err
	}
	return true, channelChange{join: join, leave: leave, dropQueued: true}.apply(x)
}

// Disconnect closes the selected connections and returns how many they are. When it returns, nothing more is delivered
// to them. code and reason are for WebSockets.
func (k *Keeper) Disconnect(s connection.Selection, code int, reason string) (n int) {
	if s.Connection == "" {
		k.auth.Revoke(auth.Revocation{User: s.User, Channel: s.Channel})
	}
	var mu sync.Mutex
	k.onEach(s, func(x *held) {
		mu.Lock()
		n++
		mu.Unlock()
		if s.Connection != "" && k.auth.Cache != nil {
			k.auth.Cache.EvictClient(&auth.Request{Channels: x.membership.Group().Channels()}, x.session.Credential(), x.session.User())
		}
		if credentials := x.session.Credentials(); len(credentials) > 0 && k.o.Disconnected != nil {
			k.o.Disconnected(credentials)
		}
		x.form.close(x, ending.Closing{Status: 403, Text: "disconnected", Code: ws.StatusCode(code), CodeText: reason, Why: ending.Disconnected})
	})
	return n
}
