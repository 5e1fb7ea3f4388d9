package subscribe

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/request"
)

// handle decides one request, on a worker.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	v := ctx.Conn().(*Request)
	for line := range bytes.Lines(v.req.Fields) {
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		ctx.Response.Header.AddBytesKV(name, value)
	}
	defer func() {
		if r := recover(); r != nil {
			s.o.Log.Error("panic while a subscribe request was decided", "panic", r, "stack", string(debug.Stack()))
			v.dialect = nil // the decision is void
			ctx.ResetBody()
			s.counts.reject(internalError, 500)
			s.refuse(ctx, 500, "internal error", "")
			ctx.SetConnectionClose()
		}
	}()
	status, why := s.decide(ctx, v)
	v.fields = v.extraFields(ctx)
	if status != 0 {
		v.dialect = nil
		if s.counts.reject(v.reject, status); v.closes {
			ctx.SetConnectionClose()
		}
		for _, cookie := range v.SetCookie {
			ctx.Response.Header.Add(fasthttp.HeaderSetCookie, cookie)
		}
		if status == 503 && s.postpone(ctx, v, why) {
			status = 200
		} else {
			s.refuse(ctx, status, why, v.hint)
			if v.retryAfter != "" {
				ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, v.retryAfter)
			}
		}
	}
	s.log(ctx, v, status, why)
}

// log writes the line of the access log. For a held connection that is at its beginning, as it may last for days.
func (s *Server) log(ctx *fasthttp.RequestCtx, v *Request, status int, why string) {
	if s.o.Access == nil {
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
	if v.dialect != nil {
		status, why = v.dialect.Status(), "held"
	} else if status == 0 {
		status = ctx.Response.StatusCode()
	}
	s.logged(r, &v.req, ctx.Time(), status, len(ctx.Response.Body()), why)
}

func (s *Server) logged(r *accesslog.Request, q *request.Request, started time.Time, status, sent int, why string) {
	if l := s.o.Access; l != nil {
		l.End(l.Begin(nil, r), &accesslog.Outcome{Status: status, Bytes: int64(sent), Now: time.Now(), Started: started, End: why, Trace: &q.Trace})
	}
}

// decide makes the checks in order. It returns a status and the reason, or 0 with v.dialect set or, for the
// browser client, the answer.
func (s *Server) decide(ctx *fasthttp.RequestCtx, v *Request) (status int, why string) {
	h := &ctx.Request.Header
	joinLists(h, v.req.Head)
	path, _, _ := bytes.Cut(originForm(h.RequestURI()), []byte("?"))
	if below := string(path[len(PathOf(s.o.Paths, path)):]); below != "" {
		if serve := s.o.Below[below]; serve != nil {
			return serve(ctx)
		}
		return 404, "nothing under this path"
	}
	doctor := s.inspect(ctx, v)
	if status, why := s.checkPage(ctx, v); status != 0 {
		return status, why
	}
	if ctx.IsOptions() {
		allowPreflight(ctx)
		return 0, ""
	}
	if status, why := s.checkRoom(v); status != 0 {
		return status, why
	}
	var channels []string
	if doctor == "" {
		if channels, status, why = s.channels(ctx); status != 0 {
			return status, why
		}
	}
	var err error
	if v.Spec.Resume, err = resumeAfter(ctx); err != nil {
		return 400, err.Error()
	}
	dialect := s.choose(choiceOf(ctx))
	if status, why := dialect.Check(ctx, &v.Spec); status != 0 {
		return status, why
	}
	if doctor != "" {
		v.Spec.Channels = []string{doctor}
	} else if status, why := s.authorize(ctx, v, channels); status != 0 {
		return status, why
	}
	if v.Gone() {
		return 503, "client is gone"
	}
	v.dialect = dialect
	return dialect.Accept(ctx, v)
}

// checkPage refuses methods other than GET, and pages of foreign origins.
func (s *Server) checkPage(ctx *fasthttp.RequestCtx, v *Request) (status int, why string) {
	if !ctx.IsGet() && !isPreflight(ctx) {
		ctx.Response.Header.Set("Allow", "GET")
		return 405, "use GET"
	}
	if !s.originAllowed(ctx, &v.req) {
		s.logForeign(&ctx.Request.Header, &v.req)
		v.reject = foreignOrigin
		return 403, "this origin may not hold channels here"
	}
	return 0, ""
}

// checkRoom refuses during a shutdown, and at the limit of held connections.
func (s *Server) checkRoom(v *Request) (status int, why string) {
	if s.o.Draining() {
		v.reject = shuttingDown
		return 503, "shutting down"
	}
	if max := s.o.MaxConnections; max > 0 && s.o.Open() >= int64(max) {
		s.logRejected(&v.req, slog.LevelWarn, "push.max_connections reached", "limit", max)
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

// channels returns the requested channels, each of which a rule matches.
func (s *Server) channels(ctx *fasthttp.RequestCtx) (list []string, status int, why string) {
	for _, c := range ctx.QueryArgs().PeekMulti("channel") {
		if len(list) == s.o.MaxChannels {
			return nil, 400, fmt.Sprintf("more than %d channels", s.o.MaxChannels)
		}
		name := string(c)
		if status, err := auth.Check(s.o.Rules, name); err != nil {
			r := &ctx.Conn().(*Request).req
			return nil, status, s.LogRefused(&auth.Decision{Status: status, Err: err, Channel: name}, request.AddrText(r.Client), r.Trace.With(nil)...)
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

// lastWanted returns the parameter last: how many of each channel's newest messages the client requests. More than are
// stored is no error, as the page need not know the rule.
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

// Wait returns how long a long poll may wait, at most max: the query, Prefer: wait=N (RFC 7240 §4.3), or the default.
func Wait(ctx *fasthttp.RequestCtx, byDefault, max time.Duration) (time.Duration, error) {
	asked := string(ctx.QueryArgs().Peek("wait"))
	if asked == "" {
		asked = http1.PreferredWait(string(ctx.Request.Header.Peek("Prefer")))
	}
	if asked == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("wait is not a number of seconds")
	}
	return min(time.Duration(min(n, 1<<20))*time.Second, max), nil
}
