package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/hub"
)

// handle decides one request, on a worker.
func (k *Keeper) handle(ctx *fasthttp.RequestCtx) {
	defer func() {
		if r := recover(); r != nil {
			k.o.Log.Error("panic while a hold was decided", "panic", r)
			ctx.ResetBody()
			k.stats.reject(internalError, 500)
			k.refuse(ctx, 500, "internal error", "")
			ctx.SetConnectionClose()
		}
	}()
	v := ctx.Conn().(*visit)
	status, why := k.decide(ctx, v)
	if status != 0 {
		v.form = nil
		k.stats.reject(v.reject, status)
		for _, cookie := range v.setCookie {
			ctx.Response.Header.Add(fasthttp.HeaderSetCookie, cookie)
		}
		if status == 503 && k.postpone(ctx, v, why) {
			status = 200
		} else {
			k.refuse(ctx, status, why, v.hint)
			if v.retryAfter != "" {
				ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, v.retryAfter)
			}
		}
	}
	k.log(ctx, v, status, why)
}

// log writes the access log's line: of a hold when it begins, as one may last for days.
func (k *Keeper) log(ctx *fasthttp.RequestCtx, v *visit, status int, why string) {
	if k.o.Access == nil {
		return
	}
	h := &ctx.Request.Header
	r := &accesslog.Request{
		Client: v.req.Client.Addr(), Method: h.Method(), Target: h.RequestURI(), Host: h.Host(), Referer: h.Peek("Referer"),
		UserAgent: h.UserAgent(), Authorization: h.Peek("Authorization"),
	}
	if h.IsHTTP11() {
		r.Minor = 1
	}
	if v.form != nil {
		status, why = v.form.status(), "held"
	} else if status == 0 {
		status = ctx.Response.StatusCode()
	}
	k.logged(r, ctx.Time(), status, len(ctx.Response.Body()), why)
}

func (k *Keeper) logged(r *accesslog.Request, started time.Time, status, sent int, why string) {
	if l := k.o.Access; l != nil {
		l.End(l.Begin(nil, r), &accesslog.Outcome{Status: status, Bytes: int64(sent), Now: time.Now(), Started: started, End: why})
	}
}

// decide makes the checks in order. It returns a status and the reason, or 0 with v.form set or, for the
// browser client, the answer.
func (k *Keeper) decide(ctx *fasthttp.RequestCtx, v *visit) (int, string) {
	h := &ctx.Request.Header
	joinLists(h, v.req.Head)
	path, _, _ := bytes.Cut(originForm(h.RequestURI()), []byte("?"))
	switch own := pushPath(k.o.Paths, path); string(path) {
	case own:
	case own + clientPath:
		return serveClient(ctx)
	default:
		return 404, "nothing under this path"
	}
	preflight := isPreflight(ctx)
	if !ctx.IsGet() && !preflight {
		ctx.Response.Header.Set("Allow", "GET")
		return 405, "use GET"
	}
	if !k.sameOrigin(ctx, &v.req) {
		k.logForeign(string(h.Peek("Origin")), &v.req)
		v.reject = foreignOrigin
		return 403, "this origin may not hold channels here"
	}
	if preflight {
		allowPreflight(ctx)
		return 0, ""
	}
	if k.draining.Load() {
		v.reject = shuttingDown
		return 503, "going down"
	}
	if max := k.o.MaxConnections; max > 0 && k.forms.open() >= int64(max) {
		k.o.Log.Warn("hold refused: push.max_connections are held", "limit", max)
		v.reject = limitReached
		return 503, "too many connections are held"
	}
	channels, status, why := k.channels(ctx)
	if status != 0 {
		return status, why
	}
	from, err := resumeAfter(ctx)
	if err != nil {
		return 400, err.Error()
	}
	form := k.forms.choose(choiceOf(ctx))
	if status, why := form.check(ctx, &v.spec); status != 0 {
		return status, why
	}
	if channels, status, why = k.authorize(ctx, v, channels); status != 0 {
		return status, why
	}
	if v.Gone() {
		return 503, "client is gone"
	}
	v.join, v.spec.Resume, v.form = channels, from, form
	return form.accept(ctx, v)
}

// originForm cuts scheme and authority off an absolute target, which the head check has compared with
// Host (RFC 9112 §3.2.2).
func originForm(target []byte) []byte {
	if len(target) == 0 || target[0] == '/' {
		return target
	}
	_, rest, _ := bytes.Cut(target, []byte("://"))
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return target
}

// channels returns the channels that are asked for, each of which a rule matches.
func (k *Keeper) channels(ctx *fasthttp.RequestCtx) (list []string, status int, why string) {
	for _, c := range ctx.QueryArgs().PeekMulti("channel") {
		if len(list) == k.o.MaxChannels {
			return nil, 400, fmt.Sprintf("more than %d channels", k.o.MaxChannels)
		}
		name := string(c)
		if err := k.o.ValidChannel(name); err != nil {
			return nil, 400, err.Error()
		}
		if _, ok := k.o.Rule(name); !ok {
			k.o.Log.Info("hold refused: no rule of the key channels matches, or allows the pattern (wildcards)", "channel", name)
			return nil, 403, noRule(name).Error()
		}
		list = append(list, name)
	}
	if len(list) == 0 {
		return nil, 400, "no channel; ask for ?channel=NAME"
	}
	return list, 0, ""
}

func resumeAfter(ctx *fasthttp.RequestCtx) (ResumePoint, error) {
	id := ctx.Request.Header.Peek("Last-Event-ID")
	if len(id) == 0 {
		id = ctx.QueryArgs().Peek("last_id")
	}
	if len(id) == 0 {
		last, err := lastWanted(ctx)
		return ResumePoint{Newest: last}, err
	}
	n, err := hub.ParseID(string(id))
	if err != nil {
		return ResumePoint{}, fmt.Errorf("last_id is not an id of a message")
	}
	return ResumePoint{ID: n, HasID: true}, nil
}

// lastWanted is how many of each channel's newest messages a client wants that has none. More than is kept is no error: the
// page need not know the rule.
func lastWanted(ctx *fasthttp.RequestCtx) (int, error) {
	asked := ctx.QueryArgs().Peek("last")
	if len(asked) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(string(asked))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("last is not a number of messages")
	}
	return n, nil
}

// wait returns how long a long poll may wait: the query, Prefer: wait=N (RFC 7240 §4.3), or the default.
func (k *Keeper) wait(ctx *fasthttp.RequestCtx) (time.Duration, error) {
	asked := string(ctx.QueryArgs().Peek("wait"))
	if asked == "" {
		asked = preferredWait(string(ctx.Request.Header.Peek("Prefer")))
	}
	if asked == "" {
		return k.o.Wait, nil
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("wait is not a number of seconds")
	}
	return min(time.Duration(min(n, 1<<20))*time.Second, k.o.MaxWait), nil
}

// signed notes the client's token, if it opens the channels whose rule wants one.
func (k *Keeper) signed(ctx *fasthttp.RequestCtx, v *visit, channels []string) (status int, why string) {
	pass, status, why := k.pass(ctx, len(channels) > 0)
	if status != 0 || pass == nil {
		return status, why
	}
	v.pass, v.user = pass, pass.User
	v.credentials = k.credentials(ctx.Request.Header.PeekAll("Cookie"), nil)
	if !pass.opens(channels) {
		return 403, errTokenChannel.Error()
	}
	if k.crowded(v.user) {
		return 429, crowdedWhy
	}
	return k.owned(channels, &auth.Result{User: pass.User})
}

// authorize asks the app for the channels whose rule wants it, and looks at the token for those whose rule wants that.
func (k *Keeper) authorize(ctx *fasthttp.RequestCtx, v *visit, channels []string) ([]string, int, string) {
	var open, asked, signed []string
	for _, c := range channels {
		switch who, _ := k.o.Rule(c); who {
		case Authorize:
			asked = append(asked, c)
			continue
		case Token:
			signed = append(signed, c)
		}
		open = append(open, c)
	}
	v.asked = k.endings.now()
	if status, why := k.signed(ctx, v, signed); status != 0 {
		return nil, status, why
	}
	if len(asked) == 0 {
		return channels, 0, ""
	}
	if v.Gone() { // while it waited
		return nil, 503, "client is gone"
	}
	if time.Since(v.came) > askersWait {
		return nil, 503, "too busy"
	}
	q := k.question(ctx, v)
	q.Channels = asked
	credentials := k.credentials([][]byte{[]byte(q.Cookie)}, nil)
	var verdict auth.Result
	var err error
	for range 2 { // the session may end, or become another's, while the app answers
		v.asked = k.endings.now()
		verdict, err = k.askApp(q)
		v.setCookie = append(v.setCookie, verdict.SetCookie...)
		q.Cookie = replaceCookies(q.Cookie, verdict.SetCookie)
		if err != nil || !k.endings.since(v.asked, append(credentials, k.userID(verdict.User))...) {
			break
		}
	}
	switch {
	case err != nil:
		v.retryAfter = verdict.RetryAfter
		v.hint = hintOf(err)
		return nil, 503, "could not be authorized now"
	case !verdict.Allowed:
		if q.Cookie == "" && q.Authorization == "" {
			k.noCookie(ctx.Path())
		}
		if verdict.Status == 401 {
			for _, challenge := range verdict.Challenge {
				ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, challenge)
			}
			return nil, 401, "not logged in"
		}
		return nil, 403, "not allowed"
	}
	if v.pass != nil && v.user != verdict.User {
		return nil, 403, "the token and the login are not the same user's"
	}
	v.user, v.expires = verdict.User, verdict.Expires
	if k.crowded(v.user) {
		return nil, 429, crowdedWhy
	}
	if status, why := k.owned(asked, &verdict); status != 0 {
		return nil, status, why
	}
	if v.expires > 0 || len(k.o.LogoutCookies) > 0 {
		v.ask = &q
	}
	if verdict.Channels == nil {
		return channels, 0, ""
	}
	list := append(open, verdict.Channels...)
	if len(list) == 0 {
		return nil, 403, "not allowed"
	}
	if len(list) > k.o.MaxChannels { // for a pattern the app may name several
		k.o.Log.Info("hold refused: push.max_channels, as the app has named for a pattern", "limit", k.o.MaxChannels, "channels", len(list))
		return nil, 403, fmt.Sprintf("more than %d channels", k.o.MaxChannels)
	}
	return list, 0, ""
}

// noCookie logs, once a minute, the likely cause where a client with a login is denied.
func (k *Keeper) noCookie(path []byte) {
	now, last := time.Now().Unix(), k.noCookieAt.Load()
	if now-last >= 60 && k.noCookieAt.CompareAndSwap(last, now) {
		k.o.Log.Info("the app denied a client that sent no cookie; if its pages have one, the cookie's Path must cover push.path or one of push.extra_paths", "push_path", string(path))
	}
}

// askApp asks, or knows from before, and counts and logs what is neither a yes nor a no.
func (k *Keeper) askApp(q auth.Request) (auth.Result, error) {
	if k.o.Authorize == nil {
		return auth.Result{}, errors.New("nobody can be asked")
	}
	ask := k.o.Authorize
	if k.verdicts != nil {
		ask = func(q auth.Request) (auth.Result, error) {
			list := k.credentials([][]byte{[]byte(q.Cookie)}, nil)
			if len(list) > 1 { // any of them may end
				return k.o.Authorize(q)
			}
			return k.verdicts.answer(q, append(list, 0)[0])
		}
	}
	verdict, err := ask(q)
	if err != nil {
		k.stats.authorizeErrors.Add(1)
		k.o.Log.Error("hold or subscribe refused: the app could not be asked (push.authorize_path)", "error", err)
	}
	return verdict, err
}

// question is what the app is told of a client, without the channels.
func (k *Keeper) question(ctx *fasthttp.RequestCtx, v *visit) auth.Request {
	h := &ctx.Request.Header
	q := auth.Request{
		Host: string(h.Host()), Cookie: joined(h.PeekAll("Cookie"), "; "),
		Authorization: string(h.Peek("Authorization")), UserAgent: string(h.UserAgent()),
		AcceptLanguage: string(h.Peek("Accept-Language")), Proto: v.req.Scheme(),
	}
	if client := v.req.Client.Addr(); client.IsValid() {
		q.ClientAddr = client.String()
	}
	if v.req.ByProxy() {
		q.ForwardedFor = string(v.req.AppendForwardedFor(nil))
	}
	return q
}

// notOwned reports whether owned refuses.
func (k *Keeper) notOwned(asked []string, v *auth.Result) bool {
	status, _ := k.owned(asked, v)
	return status != 0
}

// owned refuses channels that are another user's.
func (k *Keeper) owned(asked []string, v *auth.Result) (int, string) {
	if k.o.Owner == nil {
		return 0, ""
	}
	if v.Channels != nil {
		asked = v.Channels
	}
	for _, c := range asked {
		if user, ok := k.o.Owner(c); ok && (user != v.User || user == "") {
			k.o.Log.Info("hold refused: the channel is another user's", "channel", c, "user", v.User)
			return 403, errOwner.Error()
		}
	}
	return 0, ""
}

var errOwner = errors.New("this channel is another user's")

// owner is whose a channel is.
func (k *Keeper) owner(channel string) (user string, ok bool) {
	if k.o.Owner == nil {
		return "", false
	}
	return k.o.Owner(channel)
}

func joined(list [][]byte, sep string) string { return string(bytes.Join(list, []byte(sep))) }

// postpone responds to a request that can't be served now, if its dialect has a way to. It reports whether it has.
func (k *Keeper) postpone(ctx *fasthttp.RequestCtx, v *visit, why string) bool {
	mediaType, body := k.forms.choose(choiceOf(ctx)).postponed(why, v.hint, v.retryAfter)
	if mediaType == "" {
		return false
	}
	ctx.SetContentType(mediaType)
	ctx.Response.Header.Set("Cache-Control", "no-store, no-transform")
	ctx.SetBodyString(body)
	return true
}

// hintOf returns what an error of Options.Authorize tells the app's developer; empty: nothing.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// refuse responds with a short JSON reason and, unless it is empty, a hint for the app's developer.
func (k *Keeper) refuse(ctx *fasthttp.RequestCtx, status int, why, hint string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	switch status {
	case 429:
		ctx.Response.Header.Set("Retry-After", retryCrowded)
	case 503:
		ctx.Response.Header.Set("Retry-After", "5")
	}
	body := `{"error":` + quote(why)
	if hint != "" {
		body += `,"hint":` + quote(hint)
	}
	ctx.SetBodyString(body + "}\n")
}
