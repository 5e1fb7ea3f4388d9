package upgrade

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
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
	errManyTokens   = errors.New("there are several good tokens: send one")
	errTokenChannel = errors.New("the token does not open this channel")
)

// maxTokens of one request are checked.
const maxTokens = 8

// pass reads the request's token if it has one that is meant for Holdfast: channels want it, or it is in the URL. It
// returns nil if there is none and none is wanted. Of several, those that are good must be the same: an Authorization
// may be the app's own, and a cookie may be left from another path.
func (k *Keeper) pass(ctx *fasthttp.RequestCtx, wanted bool) (pass *Pass, status int, why string) {
	if k.o.Verify == nil {
		if wanted {
			return nil, 401, errNoToken.Error()
		}
		return nil, 0, ""
	}
	said := distinct(ctx.QueryArgs().PeekMulti(tokenParameter))
	if !wanted && len(said) == 0 {
		return nil, 0, ""
	}
	inURL := len(said) > 0
	if wanted {
		for _, field := range ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization) {
			if scheme, rest, _ := bytes.Cut(field, []byte(" ")); http1.EqualFold(scheme, "bearer") {
				said = append(said, http1.TrimOWS(rest))
			}
		}
	}
	pass, good, err := k.goodPass(distinct(said))
	if good == 0 && !inURL && k.o.TokenCookie != "" { // it comes by itself, so any other place goes first
		var e error
		if pass, good, e = k.goodPass(distinct(cookies(ctx.Request.Header.PeekAll(fasthttp.HeaderCookie), k.o.TokenCookie))); good > 1 {
			good = 1 // the browser sends the nearest path's first
		}
		if err == nil || !errors.Is(e, errNoToken) {
			err = e
		}
	}
	if good == 1 {
		return pass, 0, ""
	}
	k.stats.tokensRefused.Add(1)
	if good > 1 {
		return nil, 400, errManyTokens.Error()
	}
	k.o.Log.Info("hold refused: no good token", "error", err)
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	return nil, 401, strings.TrimPrefix(err.Error(), "token: ")
}

// goodPass returns the first pass of which a token is good, how many tokens are, and with none of them why the first is
// not.
func (k *Keeper) goodPass(tokens [][]byte) (pass *Pass, good int, err error) {
	err = errNoToken
	for i, text := range tokens[:min(len(tokens), maxTokens)] {
		p, e := k.o.Verify(string(text))
		switch {
		case e == nil && good == 0:
			pass, good = &p, 1
		case e == nil:
			good++
		case i == 0:
			err = e
		}
	}
	return pass, good, err
}

// distinct returns the values that are not empty, each once.
func distinct(values [][]byte) (list [][]byte) {
	for _, value := range values {
		if len(value) > 0 && !slices.ContainsFunc(list, func(v []byte) bool { return bytes.Equal(v, value) }) {
			list = append(list, value)
		}
	}
	return list
}

// cookies returns the values of all cookies of a name.
func cookies(fields [][]byte, name string) (values [][]byte) {
	for _, field := range fields {
		for pair := range bytes.SplitSeq(field, []byte(";")) {
			if n, value, ok := bytes.Cut(pair, []byte("=")); ok && string(http1.TrimOWS(n)) == name {
				values = append(values, bytes.Trim(http1.TrimOWS(value), `"`))
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
	if x.form.asksAgain() { // its next request is refused
		x.form.conclude(x)
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
