package upgrade

import (
	"errors"
	"fmt"
	"strings"
)

// verifyToken lets a worker read a token that is to take the place of the one that the connection has. It reports whether
// the connection goes on.
func (in *inbound) verifyToken(text, ref string) bool {
	k := in.x.k
	if k.o.Verify == nil {
		return in.fault(ref, errors.New("tokens are not taken here; see push.jwt"))
	}
	type verified struct {
		pass Pass
		err  error
	}
	work := func() (v verified) {
		v.pass, v.err = k.o.Verify(text)
		return v
	}
	return later(in, k.o.Poller.Go, work, func(v verified) {
		in.resumeQueued(in.applyToken(&v.pass, v.err, ref))
	}) || in.fault(ref, errBusy)
}

// applyToken goes on under a token that has come, if it is good for all that is held by the one before. It reports whether
// the connection goes on.
func (in *inbound) applyToken(pass *Pass, err error, ref string) bool {
	x := in.x
	if x.tokenEnded() {
		return false
	}
	user, known := "", false // by the app or a token
	if s := x.session; s != nil {
		user, known = s.user, s.user != "" || s.pass != nil || s.ask != nil
	}
	if err == nil && known && user != pass.User {
		err = errors.New("the token is another user's; connect again")
	}
	for _, name := range x.membership.Group().Channels() {
		if who, _ := x.k.o.Rule(name); err == nil && who == Token && !pass.Opens(name) {
			err = fmt.Errorf("%.300s: %w", name, errTokenChannel)
		}
	}
	if err != nil {
		x.k.stats.tokensRefused.Add(1)
		return in.fault(ref, errors.New(strings.TrimPrefix(err.Error(), "token: ")))
	}
	x.named(pass.User, nil, 0)
	if x.session == nil {
		x.session = new(session)
	}
	now := x.c.Loop().Now()
	x.session.pass, in.user = pass, pass.User
	in.forgive()
	x.beatOn(now)
	return in.sendObject(fmt.Appendf(nil, `{"type":"token","expires":%d`, int64(pass.Ends.Sub(now).Seconds())), ref)
}
