package subscribe

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/request"
)

// authorize decides whether the client may subscribe, by its token and the app, as the channels' rules require. It
// returns a status and the reason, or 0 with the allowed channels in v.Spec.
func (s *Server) authorize(ctx *fasthttp.RequestCtx, v *Request, channels []string) (status int, why string) {
	v.revocationSeq = s.o.Auth.Revocations.Seq()
	wantsToken := slices.ContainsFunc(channels, func(name string) bool {
		return auth.Access(s.o.Rules, name) == channel.Token
	})
	if v.Spec.Token, status, why = s.readToken(ctx, wantsToken); status != 0 {
		return status, why
	}
	credentials := s.o.Auth.Credentials.Of(ctx.Request.Header.PeekAll("Cookie"), nil)
	if len(credentials) > auth.MaxCredentials {
		s.logRejected(&v.req, slog.LevelInfo, "too many session cookies; see push.logout.cookies", "limit", auth.MaxCredentials)
		return 400, fmt.Sprintf("more than %d session cookies", auth.MaxCredentials)
	}
	q := auth.Query{
		Channels: channels, Max: s.o.MaxChannels, Grant: v.Spec.Token, Now: time.Now(),
		AtLimit: s.o.AtLimit,
	}
	d := auth.Decide(s.o.Rules, &q)
	subject := auth.Subject{Credentials: credentials, User: d.User, Channels: d.Channels}
	if d.Outcome == auth.Ask {
		if status, why := s.askFor(ctx, v, &q, &subject); status != 0 {
			return status, why
		}
		d = auth.Decide(s.o.Rules, &q)
	}
	switch {
	case d.Outcome != auth.Granted && d.Status == 401:
		s.challenge(ctx, &q)
		fallthrough
	case d.Outcome != auth.Granted:
		return d.Status, s.LogRefused(&d, request.AddrText(v.req.Client), v.req.Trace.With(nil)...)
	}
	v.Spec.Channels, v.Spec.User = d.Channels, d.User
	if q.Result == nil && v.Spec.Token == nil {
		return 0, "" // all channels are public
	}
	if q.Result != nil && q.Result.Expires > 0 {
		v.Spec.Expires = q.Result.Expires
	}
	subject.User, subject.Channels = d.User, slices.DeleteFunc(slices.Clone(d.Channels), s.isPublic)
	v.subject, v.Spec.Credentials = &subject, credentials
	return 0, ""
}

func (s *Server) isPublic(name string) bool {
	return auth.Access(s.o.Rules, name) == channel.Public
}

// askFor requests authorization for the subject's channels, and puts the result into q. After a failure it returns a
// status and the reason.
func (s *Server) askFor(ctx *fasthttp.RequestCtx, v *Request, q *auth.Query, subject *auth.Subject) (status int, why string) {
	if v.Gone() { // the client left while it waited
		return 503, "client is gone"
	}
	if time.Since(v.came) > MaxWait {
		return 503, "too busy"
	}
	r := v.AppRequest(ctx)
	r.Channels = subject.Channels
	result, err := s.o.Auth.Ask(&r, subject, &v.revocationSeq, &v.SetCookie)
	if err != nil {
		v.retryAfter, v.hint = result.RetryAfter, hintOf(err)
		return 503, auth.ErrUnavailable.Error()
	}
	q.Result, q.Asked, q.Now = &result, r.Channels, time.Now()
	if !result.Allowed && r.Cookie == "" && r.Authorization == "" {
		s.noCookie(ctx.Path())
	}
	if s.o.Auth.Renews(&result) {
		v.Spec.Ask = &r
	}
	return 0, ""
}

// challenge sends a client that is not logged in the app's WWW-Authenticate, or Bearer if its token is the problem.
func (s *Server) challenge(ctx *fasthttp.RequestCtx, q *auth.Query) {
	if q.Result == nil || q.Result.Allowed {
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
		return
	}
	for _, challenge := range q.Result.Challenge {
		ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, challenge)
	}
}

// LogRefused logs and counts a refusal, if it matters to the operator, and returns the reason for the client. fields are more for
// the log.
func (s *Server) LogRefused(d *auth.Decision, client string, fields ...any) string {
	with := func(more ...any) []any { return append(more, fields...) }
	switch {
	case errors.Is(d.Err, auth.ErrNoRule), errors.Is(d.Err, auth.ErrNoPattern):
		s.LogRejected(slog.LevelInfo, "no rule in channels matches, or it does not allow patterns (wildcards)", client, with("channel", d.Channel)...)
	case errors.Is(d.Err, auth.ErrOwner):
		s.LogRejected(slog.LevelInfo, "the channel belongs to another user", client, with("channel", d.Channel, "user", d.User)...)
	case errors.Is(d.Err, auth.ErrUserLimit):
		s.LogRejected(slog.LevelInfo, "push.max_connections_per_user reached", client, with("limit", s.o.MaxPerUser, "user", d.User)...)
	case errors.Is(d.Err, auth.ErrMaxChannels):
		s.LogRejected(slog.LevelInfo, "push.max_channels reached", client, with("limit", s.o.MaxChannels)...)
	case errors.Is(d.Err, auth.ErrTokenExpired):
		s.TokenRefused()
	}
	return d.Err.Error()
}

// SubscribeError logs why a client may not add a channel to its connection, and returns the error for the client.
func (s *Server) SubscribeError(d *auth.Decision, client string) error {
	s.LogRefused(d, client)
	err := d.Err
	if errors.Is(err, auth.ErrTokenMissing) { // it can send one in a message
		err = auth.ErrTokenChannel
	}
	if d.Channel == "" || errors.Is(err, auth.ErrOwner) {
		return err
	}
	return fmt.Errorf("%.300s: %w", d.Channel, err)
}

// Check returns, and logs, why no client can subscribe to a channel; nil if a client may.
func (s *Server) Check(name, client string) error {
	_, err := auth.Check(s.o.Rules, name)
	if err != nil {
		s.LogRefused(&auth.Decision{Err: err, Channel: name}, client)
	}
	return err
}

// noCookie logs, once a minute, the likely cause where a client with a login is denied.
func (s *Server) noCookie(path []byte) {
	if _, due := s.noCookies.Due(time.Now()); due {
		s.o.Log.Info("the app denied a client that sent no cookie; if its pages have one, the cookie's Path must cover push.path or one of push.extra_paths", "push_path", string(path))
	}
}

// AppRequest returns the authorization request for a client, without channels.
func (v *Request) AppRequest(ctx *fasthttp.RequestCtx) auth.Request {
	h := &ctx.Request.Header
	r := auth.Request{
		Host: string(h.Host()), Cookie: joined(h.PeekAll("Cookie"), "; "),
		Authorization: string(h.Peek("Authorization")), UserAgent: string(h.UserAgent()),
		AcceptLanguage: string(h.Peek("Accept-Language")), Proto: v.req.Scheme(),
		ForwardedFor: string(v.req.AppendForwardedFor(nil)), ForwardedHost: string(v.req.Host),
		ForwardedPort: strconv.Itoa(int(v.req.ForwardedPort())),
	}
	if client := v.req.Client.Addr(); client.IsValid() {
		r.ClientAddr = client.String()
	}
	return r
}

func joined(list [][]byte, sep string) string { return string(bytes.Join(list, []byte(sep))) }
