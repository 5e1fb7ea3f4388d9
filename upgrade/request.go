package upgrade

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/hub"
	"holdfast/internal/wsframe"
)

// after is where a subscriber comes back from.
type after struct {
	id     hub.ID
	resume bool
	last   int // without resume: so many of each channel's newest messages
}

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
		v.hold = nil
		k.stats.reject(v.reject, status)
		for _, cookie := range v.setCookie {
			ctx.Response.Header.Add(fasthttp.HeaderSetCookie, cookie)
		}
		if status == 503 && kindOf(ctx) == sse {
			k.postpone(ctx, v, why)
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
	if v.hold != nil {
		status, why = 200, "held"
		if v.hold.kind == webSocket {
			status = 101
		}
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

// decide makes the checks in order. It returns a status and the reason, or 0 with v.hold set or, for the
// browser client, the answer.
func (k *Keeper) decide(ctx *fasthttp.RequestCtx, v *visit) (int, string) {
	h := &ctx.Request.Header
	joinLists(h, v.req.Head)
	path, _, _ := bytes.Cut(originForm(h.RequestURI()), []byte("?"))
	switch string(path) {
	case k.o.Path:
	case k.o.Path + clientPath:
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
	if max := k.o.MaxConnections; max > 0 && k.stats.heldNow() >= int64(max) {
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
	x := &held{k: k, kind: kindOf(ctx)}
	var wait time.Duration
	switch x.kind {
	case webSocket:
		if status, why := checkHandshake(ctx); status != 0 {
			return status, why
		}
	case sse:
		if x.v1, err = protocol(ctx); err != nil {
			return 400, err.Error()
		}
	case longPoll:
		if len(h.Peek("Sec-WebSocket-Key")) > 0 {
			return 400, "a proxy on the way has dropped Upgrade: websocket"
		}
		if wait, err = k.wait(ctx); err != nil {
			return 400, err.Error()
		}
	}
	if channels, status, why = k.authorize(ctx, v, channels); status != 0 {
		return status, why
	}
	if v.Gone() {
		return 503, "client is gone"
	}
	v.join, v.after, v.hold = channels, from, x
	x.http10 = !h.IsHTTP11()
	x.close = h.ConnectionClose() || hasToken(h.Peek("Connection"), "close") || x.http10
	switch x.kind {
	case webSocket:
		for _, cookie := range v.setCookie {
			ctx.Response.Header.Add(fasthttp.HeaderSetCookie, cookie)
		}
		if err := k.upgrader.Upgrade(ctx, func(*websocket.Conn) {}); err != nil {
			return 400, err.Error()
		}
		x.v1 = string(ctx.Response.Header.Peek("Sec-WebSocket-Protocol")) == subprotocol
		ctx.Response.Header.Del("Content-Type")
		if k.o.Compress > 0 {
			var agreed string
			if agreed, x.compress = wsframe.AcceptDeflate(h.PeekAll("Sec-WebSocket-Extensions")); x.compress {
				ctx.Response.Header.Set("Sec-WebSocket-Extensions", agreed)
			}
		}
		if x.v1 && k.o.Live || k.o.Message != nil {
			login := k.question(ctx, v)
			login.Cookie = replaceCookies(login.Cookie, v.setCookie)
			x.speech = &speech{login: &login, user: v.user}
		}
	case longPoll:
		x.wait = int32(wait / time.Millisecond)
		x.compress = k.o.Compress > 0 && acceptsGzip(h.PeekAll("Accept-Encoding"))
		fallthrough
	default:
		x.fields = extraFields(string(ctx.Response.Header.Peek("Access-Control-Allow-Origin")), v.setCookie)
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(net.Conn) {})
	}
	return 0, ""
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

func kindOf(ctx *fasthttp.RequestCtx) kind {
	h := &ctx.Request.Header
	return kindBy(h.Peek("Upgrade"), h.Peek("Accept"))
}

// kindBy tells the kind from the request's fields, each in one line.
func kindBy(upgrade, accept []byte) kind {
	switch {
	case hasToken(upgrade, "websocket"):
		return webSocket
	case bytes.Contains(bytes.ToLower(accept), []byte("text/event-stream")):
		return sse
	}
	return longPoll
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

func resumeAfter(ctx *fasthttp.RequestCtx) (after, error) {
	id := ctx.Request.Header.Peek("Last-Event-ID")
	if len(id) == 0 {
		id = ctx.QueryArgs().Peek("last_id")
	}
	if len(id) == 0 {
		last, err := lastWanted(ctx)
		return after{last: last}, err
	}
	n, err := hub.ParseID(string(id))
	if err != nil {
		return after{}, fmt.Errorf("last_id is not an id of a message")
	}
	return after{id: n, resume: true}, nil
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

// protocol reports whether an event stream is to carry the JSON of the subprotocol. The header is not
// for a page to set, so the query says it.
func protocol(ctx *fasthttp.RequestCtx) (bool, error) {
	switch string(ctx.QueryArgs().Peek("protocol")) {
	case "":
		return false, nil
	case subprotocol:
		return true, nil
	}
	return false, fmt.Errorf("the protocol spoken here is %s", subprotocol)
}

// checkHandshake makes the checks that the upgrader leaves out (RFC 6455 §4.2.1).
func checkHandshake(ctx *fasthttp.RequestCtx) (int, string) {
	h := &ctx.Request.Header
	if !h.IsHTTP11() {
		return 400, "a WebSocket needs HTTP/1.1"
	}
	for _, name := range []string{"Sec-WebSocket-Version", "Sec-WebSocket-Key"} {
		if len(h.PeekAll(name)) > 1 {
			return 400, name + " stands there more than once"
		}
	}
	if v := string(h.Peek("Sec-WebSocket-Version")); v != "13" {
		ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		return 426, "WebSocket version 13 is spoken here"
	}
	if key, err := base64.StdEncoding.DecodeString(string(h.Peek("Sec-WebSocket-Key"))); err != nil || len(key) != 16 {
		return 400, "Sec-WebSocket-Key is not 16 bytes in base64"
	}
	if !hasToken(h.Peek("Connection"), "upgrade") {
		return 400, "Connection does not say upgrade"
	}
	return 0, ""
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
			k.noCookie()
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
func (k *Keeper) noCookie() {
	now, last := time.Now().Unix(), k.noCookieAt.Load()
	if now-last >= 60 && k.noCookieAt.CompareAndSwap(last, now) {
		k.o.Log.Info("the app denied a client that sent no cookie; if its pages have one, the cookie's Path must cover push.path", "push_path", k.o.Path)
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

// postpone ends an event stream that can't begin now. An EventSource never comes back after a 503; after the end of a
// stream it does.
func (k *Keeper) postpone(ctx *fasthttp.RequestCtx, v *visit, why string) {
	ctx.SetContentType("text/event-stream")
	ctx.Response.Header.Set("Cache-Control", "no-store, no-transform")
	ctx.SetBodyString(comeBack(why, v.hint, v.retryAfter))
}

// comeBack is the whole of an event stream that tells a browser when to come back. Comments say why; retryAfter is the
// app's, empty for none.
func comeBack(why, hint, retryAfter string) string {
	b := ": " + why + "\n"
	if hint != "" {
		b += ": " + hint + "\n"
	}
	retry := retryTime
	if seconds, err := strconv.Atoi(retryAfter); err == nil && seconds > 0 {
		retry = 2 * min(time.Duration(seconds)*time.Second, time.Hour) // of which jitter leaves half at least
	}
	return b + fmt.Sprintf("retry: %d\n\n", jitter(retry).Milliseconds())
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
