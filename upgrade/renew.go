package upgrade

import (
	"holdfast/internal/auth"
	"holdfast/internal/ending"
)

// reauthorize requests authorization again for the channels of the connection.
func (x *held) reauthorize() {
	s := x.session
	if !s.CanAsk() {
		return
	}
	q, k, loop, user, credential := *s.Request(), x.k, x.c.Loop(), s.User(), s.Credential()
	v, err := auth.Result{}, auth.ErrUnavailable // also if the request panics
	done := ifHeld(x, func() {
		if x.session != s {
			return
		}
		again := s.FinishAsking()
		x.reauthorized(q.Channels, v, err)
		if again && x.session == s {
			x.reauthorize()
		}
	})
	if s.Ask(x.c.Loop().Now()); k.auth.Go(func() {
		defer loop.Post(done)
		v, err = k.auth.AskAgain(&q, credential, user)
	}) {
		return
	}
	s.FinishAsking()
	x.reauthorized(q.Channels, v, err)
}

// reauthorized applies the app's response about the channels in asked.
func (x *held) reauthorized(asked []string, v auth.Result, err error) {
	k, now := x.k, x.c.Loop().Now()
	r := x.session.Renew(k.live().Rules, asked, &v, err, k.live().AuthorizeGrace, now)
	if err != nil {
		k.o.Log.Error("authorization could not be renewed; retrying", "error", err, "user", x.session.User(), "since", r.Since)
	}
	switch {
	case r.Status == 503:
		x.closeWithStatus(503, r.Why, ending.AuthorizeUnavailable)
	case r.Status != 0:
		x.closeWithStatus(r.Status, r.Why, ending.Refused)
	case err != nil || v.Channels == nil || x.dropDisallowed(asked, r.Allowed):
		x.awaitHeartbeat(now)
	}
}

// dropDisallowed leaves channels in asked that are no longer allowed. It reports whether the connection stays open.
func (x *held) dropDisallowed(asked, allowed []string) bool {
	had := x.membership.Group().Channels()
	join, leave := auth.Narrow(had, asked, allowed)
	switch {
	case len(leave) == 0:
		return true
	case len(leave) == len(had) && len(join) == 0:
		x.closeWithStatus(403, "not allowed any more", ending.Refused)
		return false
	case x.form.asksAgain():
		x.form.conclude(x)
		return false
	}
	s := x.session
	s.Allow(asked, allowed)
	if (channelChange{join: join, leave: leave, dropQueued: true}).apply(x) != nil { // the parts of a pattern exceed MaxChannels
		x.closeWithStatus(403, "not allowed any more", ending.Refused)
		return false
	}
	return x.session == s // otherwise it was closed as too slow
}
