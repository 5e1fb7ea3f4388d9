package upgrade

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

// errUnavailable is what a client is told when the app could not be asked, or has revoked something meanwhile.
var errUnavailable = errors.New("could not be authorized now")

// authorize decides whether the client may subscribe, by its token and the app as the channels' rules want it. It returns
// a status and the reason, or 0 with what may be held in v.spec.
func (k *Keeper) authorize(ctx *fasthttp.RequestCtx, v *pushRequest, channels []string) (status int, why string) {
	v.revocationSeq = k.revocations.Seq()
	wantsToken := slices.ContainsFunc(channels, func(name string) bool {
		return auth.Access(k.o.Rules, name) == channel.Token
	})
	if v.spec.Token, status, why = k.readToken(ctx, wantsToken); status != 0 {
		return status, why
	}
	credentials := k.credentials.Of(ctx.Request.Header.PeekAll("Cookie"), nil)
	if len(credentials) > auth.MaxCredentials {
		k.logRejected(slog.LevelInfo, "too many session cookies; see push.logout.cookies", request.AddrText(v.req.Client), "limit", auth.MaxCredentials)
		return 400, fmt.Sprintf("more than %d session cookies", auth.MaxCredentials)
	}
	q := auth.Query{
		Channels: channels, Max: k.o.MaxChannels, Grant: v.spec.Token, Now: time.Now(),
		AtLimit: func(user string) bool { return k.users.AtLimit(user, time.Now()) },
	}
	d := auth.Decide(k.o.Rules, &q)
	subject := auth.Subject{Credentials: credentials, User: d.User, Channels: d.Channels}
	if d.Outcome == auth.Ask {
		if status, why := k.askFor(ctx, v, &q, &subject); status != 0 {
			return status, why
		}
		d = auth.Decide(k.o.Rules, &q)
	}
	switch {
	case d.Outcome != auth.Granted && d.Status == 401:
		k.challenge(ctx, &q)
		fallthrough
	case d.Outcome != auth.Granted:
		return d.Status, k.logRefused(&d, request.AddrText(v.req.Client))
	}
	v.spec.Channels, v.spec.User = d.Channels, d.User
	if q.Result == nil && v.spec.Token == nil {
		return 0, "" // anybody may
	}
	if q.Result != nil && q.Result.Expires > 0 {
		v.spec.Expires = q.Result.Expires
	}
	subject.User, subject.Channels = d.User, slices.DeleteFunc(slices.Clone(d.Channels), k.isPublic)
	v.subject, v.spec.credentials = &subject, credentials
	return 0, ""
}

func (k *Keeper) isPublic(name string) bool {
	return auth.Access(k.o.Rules, name) == channel.Public
}

// askFor asks the app about the subject's channels, and puts its answer into q. It returns a status and the reason if
// there is none.
func (k *Keeper) askFor(ctx *fasthttp.RequestCtx, v *pushRequest, q *auth.Query, s *auth.Subject) (status int, why string) {
	if v.Gone() { // while it waited
		return 503, "client is gone"
	}
	if time.Since(v.came) > askersWait {
		return 503, "too busy"
	}
	r := k.appRequest(ctx, v)
	r.Channels = s.Channels
	result, err := k.askApp(&r, s, &v.revocationSeq, &v.setCookie)
	if err != nil {
		v.retryAfter, v.hint = result.RetryAfter, hintOf(err)
		return 503, errUnavailable.Error()
	}
	q.Result, q.Asked, q.Now = &result, r.Channels, time.Now()
	if !result.Allowed && r.Cookie == "" && r.Authorization == "" {
		k.noCookie(ctx.Path())
	}
	if result.Expires > 0 || len(k.o.LogoutCookies) > 0 {
		v.spec.Ask = &r
	}
	return 0, ""
}

// challenge tells a client that is not logged in how it may log in: by the app's word.
func (k *Keeper) challenge(ctx *fasthttp.RequestCtx, q *auth.Query) {
	if q.Result == nil {
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
		return
	}
	for _, challenge := range q.Result.Challenge {
		ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, challenge)
	}
}

// logRefused logs and counts why a hold or a subscription is refused, where the operator may want to know, and returns
// the reason for the client.
func (k *Keeper) logRefused(d *auth.Decision, client string) string {
	switch {
	case errors.Is(d.Err, auth.ErrNoRule), errors.Is(d.Err, auth.ErrNoPattern):
		k.logRejected(slog.LevelInfo, "no rule in channels matches, or it does not allow patterns (wildcards)", client, "channel", d.Channel)
	case errors.Is(d.Err, auth.ErrOwner):
		k.logRejected(slog.LevelInfo, "the channel belongs to another user", client, "channel", d.Channel, "user", d.User)
	case errors.Is(d.Err, auth.ErrUserLimit):
		k.logRejected(slog.LevelInfo, "push.max_connections_per_user reached", client, "limit", k.o.MaxPerUser, "user", d.User)
	case errors.Is(d.Err, auth.ErrMaxChannels):
		k.logRejected(slog.LevelInfo, "push.max_channels reached", client, "limit", k.o.MaxChannels)
	case errors.Is(d.Err, auth.ErrTokenExpired):
		k.stats.tokensRefused.Add(1)
	}
	return d.Err.Error()
}

// noCookie logs, once a minute, the likely cause where a client with a login is denied.
func (k *Keeper) noCookie(path []byte) {
	if _, due := k.noCookies.Due(time.Now()); due {
		k.o.Log.Info("the app denied a client that sent no cookie; if its pages have one, the cookie's Path must cover push.path or one of push.extra_paths", "push_path", string(path))
	}
}

// askApp asks the app, or the cache, on a worker. It asks once more if something was revoked meanwhile that concerns the
// subject, who gets the user that the app names: the session may have ended, or become another's. seq is then that of
// the last time, and is to be compared again when the answer takes effect. setCookie gets what the app sets; nil: nobody
// wants it. What is neither a yes nor a no is counted and logged.
func (k *Keeper) askApp(r *auth.Request, s *auth.Subject, seq *uint64, setCookie *[]string) (result auth.Result, err error) {
	for range 2 {
		*seq = k.revocations.Seq()
		if result, err = k.authorizeOnce(r); err != nil {
			k.stats.authorizeErrors.Add(1)
			k.o.Log.Error("authorization request failed (push.authorize_path)", "error", err)
			return result, err
		}
		if setCookie != nil {
			*setCookie = append(*setCookie, result.SetCookie...)
		}
		if len(result.SetCookie) > 0 {
			r.Cookie = auth.ReplaceCookies(r.Cookie, result.SetCookie)
			s.Credentials = append(s.Credentials, k.credentials.Of([][]byte{[]byte(r.Cookie)}, nil)...)
		}
		if result.User != "" {
			s.User = result.User
		}
		if !result.Allowed || !k.revocations.ChangedSince(*seq, s) {
			break
		}
	}
	return result, nil
}

// authorizeOnce asks the app, or the cache if there is one and one session at most may be meant: any of several may end.
func (k *Keeper) authorizeOnce(r *auth.Request) (auth.Result, error) {
	if k.o.Authorizer == nil {
		return auth.Result{}, errors.New("nobody can be asked")
	}
	if k.cache != nil {
		if list := k.credentials.Of([][]byte{[]byte(r.Cookie)}, nil); len(list) <= 1 {
			return k.cache.Authorize(*r, append(list, 0)[0])
		}
	}
	return k.o.Authorizer.Authorize(*r)
}

// appRequest is what the app is told of a client, without the channels.
func (k *Keeper) appRequest(ctx *fasthttp.RequestCtx, v *pushRequest) auth.Request {
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
