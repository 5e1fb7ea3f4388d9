package upgrade

import (
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/ending"
	"holdfast/internal/heldindex"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/sendqueue"
	"holdfast/internal/session"
)

// loopState is what the connections of one loop share.
type loopState struct {
	queues *sendqueue.Memory // of the send queues
	date   http1.Date
}

func loopOf(x *held) *loopState { return &x.k.loops[x.c.Loop().Index] }

// initSession creates the session of a connection that has a user, a token or an authorization to renew. Otherwise it
// leaves x.session nil.
func (x *held) initSession(spec *Spec) {
	x.applyResult(spec.User, spec.Ask, spec.Expires)
	if spec.Token != nil {
		s := x.needSession()
		s.Grant = spec.Token
		x.k.index.Sessions(x).SetCredentials(s, spec.Credentials)
	}
}

// needSession returns the session, and creates it if there is none.
func (x *held) needSession() *session.Session[*held] {
	if x.session == nil {
		x.session = &session.Session[*held]{Conn: x}
	}
	return x.session
}

// queryOf returns the query for a held connection that subscribes to more channels.
func queryOf(x *held, channels []string) auth.Query {
	return x.session.Known(auth.Query{
		Channels: channels, Held: x.membership.Group().Channels(), Max: x.k.live().MaxChannels, Now: x.c.Loop().Now(),
	})
}

// applyResult stores what the app has said about a connection: its user, and what to request again and when. The first
// user stays.
func (x *held) applyResult(user string, ask *auth.Request, expires time.Duration) {
	if user == "" && ask == nil {
		return
	}
	s := x.needSession()
	if s.User() == "" && user != "" {
		x.k.index.Sessions(x).SetUser(s, user)
		x.k.countUser(x, user, auth.Newest)
	}
	if ask != nil {
		s.SetRequest(ask, x.membership.Group().Channels(), expires, x.c.Loop().Now())
		x.k.index.Sessions(x).SetCredentials(s, x.k.auth.Credentials.Of([][]byte{[]byte(ask.Cookie)}, nil))
	}
}

// setUser is applyResult for a held connection. If it had no user before, the observer sees it close and open again.
func (x *held) setUser(user string, ask *auth.Request, expires time.Duration) {
	first := x.session.User() == "" && user != ""
	if first {
		x.ended("user_identified", func() {})
	}
	x.applyResult(user, ask, expires)
	if first {
		x.begun()
	}
	if !x.session.Due().IsZero() {
		x.awaitHeartbeat(x.c.Loop().Now())
	}
}

// dropSession removes the connection from its index.
func (x *held) dropSession() {
	s := x.session
	if s == nil {
		return
	}
	x.session = nil
	if s.User() != "" {
		x.k.users.Remove(s.User(), heldindex.RefTo(x.c))
	}
	x.k.index.Sessions(x).Remove(s)
}

// await sets the deadline: d from now, or the end of the authorization if that is earlier.
func (x *held) await(d time.Duration) { x.c.SetDeadline(x.session.Deadline(d, x.c.Loop().Now())) }

// expired authorizes the connection again if that is due. It reports whether nothing else is due.
func (x *held) expired() bool {
	s := x.session
	if s.Due().IsZero() || x.answered {
		return false
	}
	now := x.c.Loop().Now()
	if s.RenewalDue(now) {
		switch {
		case x.form.asksAgain(): // its next request is authorized anyway
			x.form.conclude(x)
			return true
		case s.Asking(now) > x.k.limit():
			x.closeWithStatus(503, session.NotRenewed, ending.AuthorizeUnavailable)
			return true
		}
		if x.reauthorize(); x.session != s {
			return true
		}
	}
	switch next := s.NextHeartbeat; {
	case next.IsZero():
		x.await(0)
	case next.After(now):
		x.await(next.Sub(now))
	default:
		return false
	}
	return true
}

// awaitHeartbeat sets the deadline anew after Session.Due has changed.
func (x *held) awaitHeartbeat(now time.Time) {
	next := x.session.NextHeartbeat
	switch {
	case x.form.asksAgain(): // its wait continues
	case next.IsZero():
		x.await(session.Spread(x.k.live().Heartbeat))
	default:
		x.await(max(next.Sub(now), time.Millisecond))
	}
}

// tokenEnded closes the connection if its token has expired, and reports whether it has.
func (x *held) tokenEnded() bool {
	if x.answered || !x.session.TokenExpired(x.c.Loop().Now()) {
		return false
	}
	if x.form.asksAgain() { // its next request is refused anyway
		x.form.conclude(x)
	} else {
		x.closeWithStatus(401, auth.ErrTokenExpired.Error(), ending.Refused)
	}
	return true
}

// closeWithStatus closes a connection that is no longer allowed.
func (x *held) closeWithStatus(status int, why string, reason ending.Reason) {
	x.form.close(x, ending.Closing{Status: status, Text: why, Why: reason})
}

// countUser counts the connection for its user, and closes the user's oldest if there are too many.
func (k *Keeper) countUser(x *held, user string, rank uint64) {
	oldest, evict := k.users.Add(user, heldindex.RefTo(x.c), rank, time.Now())
	if !evict {
		return
	}
	oldest.Post(func(c *park.Conn) {
		if x, ok := c.Handler().(*held); ok && x.session.User() == user {
			k.o.Log.Info("connection closed for a newer one: push.max_connections_per_user reached",
				"limit", k.o.MaxPerUser, "user", user, "transport", x.form.transport(), "client", x.client())
			x.closeWithStatus(429, auth.ErrUserLimit.Error(), ending.CrowdedOut)
		}
	})
}
