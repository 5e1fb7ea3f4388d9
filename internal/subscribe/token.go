package subscribe

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/http1"
)

// tokenParameter is for browsers, whose WebSocket and EventSource can't set headers.
const tokenParameter = "token"

var errManyTokens = errors.New("several different valid tokens: send one")

// maxTokens is how many tokens of one request are checked.
const maxTokens = 8

// readToken verifies the request's token, if a channel needs one or the URL has one; otherwise it returns nil. All
// valid ones must be equal. Invalid ones are ignored beside a valid one: an Authorization may be the app's own, and a
// cookie may be left from another path.
func (s *Server) readToken(ctx *fasthttp.RequestCtx, wanted bool) (grant *auth.TokenGrant, status int, why string) {
	said := distinct(ctx.QueryArgs().PeekMulti(tokenParameter))
	switch {
	case !wanted && (s.o.Tokens == nil || len(said) == 0):
		return nil, 0, ""
	case s.o.Tokens == nil:
		return nil, 401, auth.ErrTokenMissing.Error()
	}
	inURL := len(said) > 0
	if wanted {
		for _, field := range ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization) {
			if scheme, rest, _ := bytes.Cut(field, []byte(" ")); http1.EqualFold(scheme, "bearer") {
				said = append(said, http1.TrimOWS(rest))
			}
		}
	}
	grant, good, err := s.verifyAll(distinct(said))
	if good == 0 && !inURL && s.o.TokenCookie != "" { // browsers send it with every request, so other places take precedence
		var e error
		if grant, good, e = s.verifyAll(distinct(cookies(ctx.Request.Header.PeekAll(fasthttp.HeaderCookie), s.o.TokenCookie))); good > 1 {
			good = 1 // browsers send the cookie with the longest path first
		}
		if err == nil || !errors.Is(e, auth.ErrTokenMissing) {
			err = e
		}
	}
	if good == 1 {
		return grant, 0, ""
	}
	s.TokenRefused()
	if good > 1 {
		return nil, 400, errManyTokens.Error()
	}
	s.logRejected(&ctx.Conn().(*Request).req, slog.LevelInfo, "no valid token", "error", err)
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	return nil, 401, err.Error()
}

// verifyAll returns the grant of the first valid token, the number of valid ones, and, if there is none, why the first
// is invalid.
func (s *Server) verifyAll(tokens [][]byte) (grant *auth.TokenGrant, good int, err error) {
	err = auth.ErrTokenMissing
	for i, text := range tokens[:min(len(tokens), maxTokens)] {
		g, e := s.o.Tokens.Verify(string(text))
		switch {
		case e == nil && good == 0:
			grant, good = &g, 1
		case e == nil:
			good++
		case i == 0:
			err = e
		}
	}
	return grant, good, err
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
