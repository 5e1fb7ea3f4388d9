package upgrade

import (
	"bytes"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/hub"
	"holdfast/internal/request"
	"holdfast/upgrade/client"
)

// handle decides one request, on a worker.
func (k *Keeper) handle(ctx *fasthttp.RequestCtx) {
	v := ctx.Conn().(*pushRequest)
	defer func() {
		if r := recover(); r != nil {
			k.o.Log.Error("panic while a subscribe request was decided", "panic", r)
			v.form = nil // whatever was decided
			ctx.ResetBody()
			k.stats.reject(internalError, 500)
			k.refuse(ctx, 500, "internal error", "")
			ctx.SetConnectionClose()
		}
	}()
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
func (k *Keeper) log(ctx *fasthttp.RequestCtx, v *pushRequest, status int, why string) {
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
func (k *Keeper) decide(ctx *fasthttp.RequestCtx, v *pushRequest) (status int, why string) {
	h := &ctx.Request.Header
	joinLists(h, v.req.Head)
	path, _, _ := bytes.Cut(originForm(h.RequestURI()), []byte("?"))
	switch own := pushPath(k.o.Paths, path); string(path) {
	case own:
	case own + client.Path:
		return client.Serve(ctx)
	default:
		return 404, "nothing under this path"
	}
	if status, why := k.checkPage(ctx, v); status != 0 {
		return status, why
	}
	if ctx.IsOptions() {
		allowPreflight(ctx)
		return 0, ""
	}
	if status, why := k.checkRoom(v); status != 0 {
		return status, why
	}
	channels, status, why := k.channels(ctx)
	if status != 0 {
		return status, why
	}
	var err error
	if v.spec.Resume, err = resumeAfter(ctx); err != nil {
		return 400, err.Error()
	}
	form := k.forms.choose(choiceOf(ctx))
	if status, why := form.check(ctx, &v.spec); status != 0 {
		return status, why
	}
	if status, why := k.authorize(ctx, v, channels); status != 0 {
		return status, why
	}
	if v.Gone() {
		return 503, "client is gone"
	}
	v.form = form
	return form.accept(ctx, v)
}

// checkPage refuses methods that mean nothing here, and pages of foreign origins.
func (k *Keeper) checkPage(ctx *fasthttp.RequestCtx, v *pushRequest) (status int, why string) {
	if !ctx.IsGet() && !isPreflight(ctx) {
		ctx.Response.Header.Set("Allow", "GET")
		return 405, "use GET"
	}
	if !k.sameOrigin(ctx, &v.req) {
		k.logForeign(&ctx.Request.Header, &v.req)
		v.reject = foreignOrigin
		return 403, "this origin may not hold channels here"
	}
	return 0, ""
}

// checkRoom refuses while Holdfast shuts down or holds all that it may.
func (k *Keeper) checkRoom(v *pushRequest) (status int, why string) {
	if k.draining.Load() {
		v.reject = shuttingDown
		return 503, "going down"
	}
	if max := k.o.MaxConnections; max > 0 && k.forms.open() >= int64(max) {
		k.logRejected(slog.LevelWarn, "push.max_connections reached", request.AddrText(v.req.Client), "limit", max)
		v.reject = limitReached
		return 503, "too many connections are held"
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

// channels returns the channels that are asked for, each of which a rule matches.
func (k *Keeper) channels(ctx *fasthttp.RequestCtx) (list []string, status int, why string) {
	for _, c := range ctx.QueryArgs().PeekMulti("channel") {
		if len(list) == k.o.MaxChannels {
			return nil, 400, fmt.Sprintf("more than %d channels", k.o.MaxChannels)
		}
		name := string(c)
		if status, err := auth.Check(k.o.Rules, name); err != nil {
			return nil, status, k.logRefused(&auth.Decision{Status: status, Err: err, Channel: name}, request.AddrText(ctx.Conn().(*pushRequest).req.Client))
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
