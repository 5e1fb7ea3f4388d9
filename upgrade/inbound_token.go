package upgrade

import (
	"errors"
	"fmt"

	"holdfast/internal/auth"
)

// verifyToken lets a worker read a token that is to take the place of the one that the connection has. It reports whether
// the connection goes on.
func (in *inbound) verifyToken(text, ref string) bool {
	k := in.x.k
	if k.o.Tokens == nil {
		return in.rejectFrame(ref, errors.New("tokens are not taken here; see push.jwt"))
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
	}) || in.rejectFrame(ref, errBusy)
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
		err = x.session.CheckToken(x.k.o.Rules, grant, x.membership.Group().Channels(), now)
	}
	if err != nil {
		x.k.requests.TokenRefused()
		return in.rejectFrame(ref, err)
	}
	x.setUser(grant.User, nil, 0)
	x.needSession().Grant = grant
	in.forgive()
	x.awaitHeartbeat(now)
	return in.sendObject(fmt.Appendf(nil, `{"type":"token","expires":%d`, int64(grant.ExpiresAt.Sub(now).Seconds())), ref)
}

// roomForToken is how long a message may be that brings a token.
func (k *Keeper) roomForToken() int {
	if k.o.Tokens == nil {
		return 0
	}
	return roomForType + roomForToken
}
