package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"holdfast/internal/park"
	"holdfast/internal/syntax"
)

// Access says who may hold a channel.
type Access uint8

const (
	Public    Access = iota // everybody
	Authorize               // whom the app lets in when it is asked
	Token                   // for whom the app has signed a token
)

// tokenParameter is for browsers, whose WebSocket and EventSource can set no field.
const tokenParameter = "token"

// Pass is what a token is good for.
type Pass struct {
	User  string
	Ends  time.Time
	Opens func(channel string) bool // any goroutine may call it
}

var (
	errNoToken      = errors.New("a token is missing: send Authorization: Bearer, or token= in the URL")
	errManyTokens   = errors.New("the token comes twice: send it in one place, once")
	errTokenChannel = errors.New("the token does not open this channel")
)

// pass reads the request's token if it has one that is meant for Holdfast: channels want it, or it is in the URL. It
// returns nil if there is none and none is wanted.
func (k *Keeper) pass(ctx *fasthttp.RequestCtx, wanted bool) (pass *Pass, status int, why string) {
	if k.o.Verify == nil {
		if wanted {
			return nil, 401, errNoToken.Error()
		}
		return nil, 0, ""
	}
	said := ctx.QueryArgs().PeekMulti(tokenParameter)
	if !wanted && len(said) == 0 {
		return nil, 0, ""
	}
	for _, field := range ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization) {
		if scheme, rest, _ := bytes.Cut(field, []byte(" ")); syntax.EqualFold(scheme, "bearer") {
			said = append(said, syntax.TrimOWS(rest))
		}
	}
	if len(said) == 0 && k.o.TokenCookie != "" { // it comes by itself, so any other place goes first
		said = cookies(ctx.Request.Header.PeekAll(fasthttp.HeaderCookie), k.o.TokenCookie)
	}
	var err error
	switch {
	case len(said) == 0:
		err = errNoToken
	case len(said) > 1:
		k.stats.tokensRefused.Add(1)
		return nil, 400, errManyTokens.Error()
	default:
		var p Pass
		if p, err = k.o.Verify(string(said[0])); err == nil {
			return &p, 0, ""
		}
	}
	k.stats.tokensRefused.Add(1)
	k.o.Log.Info("hold refused: no good token", "error", err)
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	return nil, 401, strings.TrimPrefix(err.Error(), "token: ")
}

// cookies returns the values of all cookies of a name.
func cookies(fields [][]byte, name string) (values [][]byte) {
	for _, field := range fields {
		for pair := range bytes.SplitSeq(field, []byte(";")) {
			if n, value, ok := bytes.Cut(pair, []byte("=")); ok && string(syntax.TrimOWS(n)) == name {
				values = append(values, bytes.Trim(syntax.TrimOWS(value), `"`))
			}
		}
	}
	return values
}

// opens reports whether all channels are open to who has the pass.
func (p *Pass) opens(channels []string) bool {
	for _, name := range channels {
		if p == nil || !p.Opens(name) {
			return false
		}
	}
	return true
}

// tokenEnded ends the hold if its token has expired. It reports whether that is so.
func (x *held) tokenEnded() bool {
	s := x.session
	if s == nil || s.pass == nil || x.answered || s.pass.Ends.After(x.c.Loop().Now()) {
		return false
	}
	if x.kind == longPoll { // its next poll is refused
		x.answer(nil, nil)
	} else {
		x.expel(401, "the token has expired", refused)
	}
	return true
}

// roomForToken is how long a message may be that brings a token.
func (k *Keeper) roomForToken() int {
	if k.o.Verify == nil {
		return 0
	}
	return roomForType + roomForToken
}

// hearToken lets a worker read a token that is to take the place of the one that the connection has. It reports whether
// the connection goes on.
func (x *held) hearToken(text, ref string) bool {
	k, conn, loop := x.k, x.c.Ref(), x.c.Loop()
	if k.o.Verify == nil {
		return x.fault(ref, errors.New("tokens are not taken here; see push.jwt"))
	}
	if x.speech.asking = k.o.Poller.Go(func() {
		pass, err := k.o.Verify(text)
		loop.Post(func() {
			if c, ok := conn.Conn(); ok && c.Handler() == park.Handler(x) {
				x.speech.asking = false
				x.goOn(x.takeToken(&pass, err, ref))
			}
		})
	}); !x.speech.asking {
		return x.fault(ref, errBusy)
	}
	return true
}

// takeToken goes on under a token that has come, if it is good for all that is held by the one before. It reports whether
// the connection goes on.
func (x *held) takeToken(pass *Pass, err error, ref string) bool {
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
	for _, name := range x.stand.Group().Channels() {
		if who, _ := x.k.o.Rule(name); err == nil && who == Token && !pass.Opens(name) {
			err = fmt.Errorf("%.300s: %w", name, errTokenChannel)
		}
	}
	if err != nil {
		x.k.stats.tokensRefused.Add(1)
		return x.fault(ref, errors.New(strings.TrimPrefix(err.Error(), "token: ")))
	}
	x.named(pass.User, nil, 0)
	if x.session == nil {
		x.session = new(session)
	}
	now := x.c.Loop().Now()
	x.session.pass, x.speech.user = pass, pass.User
	x.speech.faults = max(x.speech.faults-1, 0)
	x.beatOn(now)
	b := fmt.Appendf(nil, `{"type":"token","expires":%d`, int64(pass.Ends.Sub(now).Seconds()))
	return x.send(appendFrame(nil, ws.OpText, append(appendRef(b, ref), '}')), false)
}
