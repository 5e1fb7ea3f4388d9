package upgrade

import (
	"errors"
	"slices"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/park"
)

// renewRetry is after how long an app that could not be asked again is asked again.
const renewRetry = 5 * time.Second

// renew asks the app whether the client may still hold what it holds.
func (x *held) renew() {
	s := x.session
	if s == nil || s.ask == nil || s.asking {
		return
	}
	q, k, ref, loop, user, credential := *s.ask, x.k, x.c.Ref(), x.c.Loop(), s.user, s.credential
	s.asking = k.auth.Go(func() {
		v, err := k.auth.AskAgain(&q, credential, user)
		ref.Post(loop, func(c *park.Conn) {
			if c.Handler() == park.Handler(x) && x.session == s {
				s.asking = false
				x.renewed(q.Channels, v, err)
				if s.again && x.session == s {
					s.again = false
					x.renew()
				}
			}
		})
	})
}

// reconsider is renew after something has happened: what the app is just being asked may be answered as of before.
func (x *held) reconsider() {
	if s := x.session; s != nil && s.asking {
		s.again = true
		return
	}
	x.renew()
}

// renewed does what the app has said of the channels that it was asked about.
func (x *held) renewed(asked []string, v auth.Result, err error) {
	s, k, now := x.session, x.k, x.c.Loop().Now()
	if err != nil {
		if s.failing.IsZero() {
			s.failing = now
		}
		k.o.Log.Error("authorization could not be renewed; retrying", "error", err, "user", s.user, "since", s.failing)
		if now.Sub(s.failing) >= k.o.AuthorizeGrace {
			x.expel(503, "could not be authorized again", authorizeUnavailable)
			return
		}
		s.expires = now.Add(min(renewRetry, k.o.AuthorizeGrace))
		x.beatOn(now)
		return
	}
	d := auth.Decide(k.o.Rules, &auth.Query{Channels: asked, Asked: asked, Result: &v, User: s.user, Fixed: true, Now: now})
	switch {
	case d.Outcome == auth.Granted:
	case errors.Is(d.Err, auth.ErrNotLoggedIn), errors.Is(d.Err, auth.ErrLoginUser):
		x.expel(401, "not logged in any more", refused)
		return
	default:
		x.expel(403, "not allowed any more", refused)
		return
	}
	s.failing, s.expires = time.Time{}, time.Time{}
	if v.Expires > 0 {
		s.expires = now.Add(v.Expires)
	}
	if v.Channels != nil && !x.narrow(asked, d.Channels) {
		return
	}
	x.beatOn(now)
}

// narrow leaves the channels that the app was asked about and does not allow any more. It reports whether the
// connection goes on.
func (x *held) narrow(asked, allowed []string) bool {
	had := x.membership.Group().Channels()
	join, leave := auth.Narrow(had, asked, allowed)
	switch {
	case len(leave) == 0:
		return true
	case len(leave) == len(had) && len(join) == 0:
		x.expel(403, "not allowed any more", refused)
		return false
	case x.form.asksAgain():
		x.form.conclude(x)
		return false
	}
	s, q := x.session, *x.session.ask
	more := slices.DeleteFunc(slices.Clone(q.Channels), func(name string) bool { return slices.Contains(asked, name) })
	q.Channels = append(more, allowed...)
	s.ask = &q
	if (channelChange{join: join, leave: leave, takeBack: true}).apply(x) != nil { // more parts than a connection may hold
		x.expel(403, "not allowed any more", refused)
		return false
	}
	return x.session == s // else it was slow, too
}

// expel ends a hold that is not allowed any more.
func (x *held) expel(status int, why string, reason closeReason) {
	x.form.close(x, closing{status: status, text: why, why: reason})
}
