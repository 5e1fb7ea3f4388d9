package upgrade

import (
	"errors"
	"fmt"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
)

// verifyToken lets a worker read a token that is to take the place of the one that the connection has. It reports whether
// the connection goes on.
func (in *inbound) verifyToken(text, ref string) bool {
	k := in.x.k
	if k.o.Tokens == nil {
		return in.fault(ref, errors.New("tokens are not taken here; see push.jwt"))
	}
	type verified struct {
		grant auth.TokenGrant
		err   error
	}
	work := func() (v verified) {
		v.grant, v.err = k.o.Tokens.Verify(text)
		return v
	}
	return later(in, k.o.Poller.Go, work, func(v verified) {
		in.resumeQueued(in.applyToken(&v.grant, v.err, ref))
	}) || in.fault(ref, errBusy)
}

// applyToken continues under a token that has come, if it is good for all that is held by the one before. It reports
// whether the connection goes on.
func (in *inbound) applyToken(grant *auth.TokenGrant, err error, ref string) bool {
	x := in.x
	if x.tokenEnded() {
		return false
	}
	now := x.c.Loop().Now()
	if err == nil {
		err = x.checkToken(grant, now)
	}
	if err != nil {
		x.k.requests.TokenRefused()
		return in.fault(ref, err)
	}
	x.named(grant.User, nil, 0)
	if x.session == nil {
		x.session = new(session)
	}
	x.session.grant = grant
	in.forgive()
	x.beatOn(now)
	return in.sendObject(fmt.Appendf(nil, `{"type":"token","expires":%d`, int64(grant.ExpiresAt.Sub(now).Seconds())), ref)
}

// checkToken returns why the connection cannot continue under a token: it is another user's, or not good for a channel
// that needs one.
func (x *held) checkToken(grant *auth.TokenGrant, now time.Time) error {
	q := auth.Query{Grant: grant, Now: now}
	if s := x.session; s != nil {
		q.User, q.Fixed = s.user, s.user != "" || s.grant != nil || s.ask != nil
	}
	for _, name := range x.membership.Group().Channels() {
		if auth.Access(x.k.o.Rules, name) == channel.Token {
			q.Channels = append(q.Channels, name)
		}
	}
	d := auth.Decide(x.k.o.Rules, &q)
	switch {
	case d.Outcome == auth.Granted:
		return nil
	case d.Channel != "":
		return fmt.Errorf("%.300s: %w", d.Channel, d.Err)
	}
	return d.Err
}

// tokenEnded ends the hold if its token has expired. It reports whether that is so.
func (x *held) tokenEnded() bool {
	s := x.session
	if s == nil || s.grant == nil || x.answered || !s.grant.Expired(x.c.Loop().Now()) {
		return false
	}
	if x.form.asksAgain() { // its next request is refused
		x.form.conclude(x)
	} else {
		x.expel(401, auth.ErrTokenExpired.Error(), refused)
	}
	return true
}

// roomForToken is how long a message may be that brings a token.
func (k *Keeper) roomForToken() int {
	if k.o.Tokens == nil {
		return 0
	}
	return roomForType + roomForToken
}
