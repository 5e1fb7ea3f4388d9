package upgrade

import (
	"errors"
	"fmt"

	"holdfast/internal/auth"
	"holdfast/internal/clientframe"
)

// verifyToken verifies a new token on a worker. It reports whether the connection stays open.
func (in *inbound) verifyToken(text, ref string) bool {
	k := in.x.k
	if k.live().Tokens == nil {
		return in.rejectFrame(ref, errors.New("tokens are off; see push.jwt"))
	}
	type verified struct {
		grant auth.TokenGrant
		err   error
	}
	work := func() (v verified) {
		v.grant, v.err = k.live().Tokens.Verify(text)
		return v
	}
	return later(in, k.o.Poller.Go, work, func(v verified) {
		in.resumeQueued(in.applyToken(&v.grant, v.err, ref))
	}) || in.rejectFrame(ref, errBusy)
}

// applyToken replaces the connection's token, if the new one allows all channels that the old one does. It reports
// whether the connection stays open.
func (in *inbound) applyToken(grant *auth.TokenGrant, err error, ref string) bool {
	x := in.x
	if x.tokenEnded() {
		return false
	}
	now := x.c.Loop().Now()
	if err == nil {
		err = x.session.CheckToken(x.k.live().Rules, grant, x.membership.Group().Channels(), now)
	}
	if err != nil {
		x.k.requests().TokenRefused()
		return in.rejectFrame(ref, err)
	}
	x.setUser(grant.User, nil, 0)
	x.needSession().Grant = grant
	in.forgive()
	x.awaitHeartbeat(now)
	return in.sendObject(fmt.Appendf(nil, `{"type":"token","expires":%d`, int64(grant.ExpiresAt.Sub(now).Seconds())), ref)
}

// maxFrame returns how many bytes a frame may have that names channels or has a token.
func (k *Keeper) maxFrame() int {
	return clientframe.MaxSize(k.live().MaxChannels, k.live().Tokens != nil)
}
