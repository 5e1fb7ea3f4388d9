package hooks

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"

	"holdfast/internal/metric"
	"holdfast/internal/page"
	"holdfast/internal/strictjson"
)

// call is one request whose head has passed the checks. Each connection has one, for all its requests.
type call struct {
	ctx    *fasthttp.RequestCtx
	access *access
	target string // as sent; stored for the next request, which mostly has the same
	path   string // of the target
	query  string // of the target

	publish publishRoom
}

const (
	channelsPath = "/channels"
	getMethods   = fasthttp.MethodGet + ", " + fasthttp.MethodHead
)

// route returns the handler of a path, nil if there is none, and the value of Allow.
func (s *Server) route(path []byte, a *access) (methods string, do func(*Server, *call) error) {
	switch string(path) {
	case "/":
		return getMethods, visit
	case "/publish":
		return fasthttp.MethodPost, (*Server).publish
	case "/changed":
		return fasthttp.MethodPost, changed
	case channelsPath:
		return getMethods, (*Server).channels
	case "/position":
		return getMethods, (*Server).position
	case connectionsPath:
		if s.options.Connections != nil {
			return getMethods, (*Server).connections
		}
	case "/disconnect":
		if s.options.Connections != nil {
			return fasthttp.MethodPost, (*Server).disconnect
		}
	case "/subscribe":
		if s.options.Connections != nil {
			return fasthttp.MethodPost, (*Server).subscribe
		}
	case "/unsubscribe":
		if s.options.Connections != nil {
			return fasthttp.MethodPost, (*Server).unsubscribe
		}
	case doctorPath:
		if s.options.Inspect != nil {
			return fasthttp.MethodPost, doctorBegin
		}
	case "/reload":
		if s.options.Reload != nil {
			return fasthttp.MethodPost, reload
		}
	case "/takeover":
		if s.options.TakeOver != nil {
			return fasthttp.MethodPost, takeOver
		}
	case "/healthz":
		return getMethods, healthz
	case "/readyz":
		return getMethods, (*Server).readyz
	case "/metrics":
		return getMethods, (*Server).writeMetrics
	}
	if rest, ok := bytes.CutPrefix(path, []byte(channelsPath+"/")); ok {
		name, part, more := bytes.Cut(rest, []byte{'/'})
		switch {
		case len(name) == 0:
		case !more:
			return getMethods, (*Server).channel
		case "/"+string(part) == usersPath:
			return getMethods, (*Server).users
		case "/"+string(part) == messagesPath:
			return getMethods, (*Server).messages
		}
	}
	if id, ok := bytes.CutPrefix(path, []byte(connectionsPath+"/")); ok && len(id) > 0 && s.options.Connections != nil {
		return getMethods, (*Server).connection
	}
	if bytes.HasPrefix(path, []byte(page.Prefix)) {
		return pageRoute(s, path, a)
	}
	if s.options.Inspect != nil {
		return doctorRoute(path)
	}
	return "", nil
}

// check makes all checks of the head, except that of the Host. Targets are compared as sent: each path has one spelling
// here.
func (s *Server) check(h *fasthttp.RequestHeader, a *access) (do func(*Server, *call) error, err error) {
	path, _, _ := bytes.Cut(h.RequestURI(), []byte{'?'})
	kind := page.KindOf(a.page, h, path)
	if kind != page.Other {
		err = checkPage(h, kind, a)
	} else {
		err = checkBrowser(h)
	}
	if err != nil {
		return nil, err
	}
	if kind != page.Shell && string(path) != "/healthz" {
		if err := checkToken(h, a); err != nil {
			return nil, err
		}
	}
	methods, do := s.route(path, a)
	if do == nil {
		return nil, fmt.Errorf("%w: %.100q", errPath, path)
	}
	if m := string(h.Method()); m != methods && (methods != getMethods || m != fasthttp.MethodGet && m != fasthttp.MethodHead) {
		return nil, methodError{methods}
	}
	return do, nil
}

// admit checks a request's head, and returns the call and its handler.
func (s *Server) admit(ctx *fasthttp.RequestCtx) (c *call, do func(*Server, *call) error, err error) {
	h := &ctx.Request.Header
	nc, ok := ctx.Conn().(*conn)
	if !ok {
		nc = new(conn)
	}
	c = &nc.call
	if target := h.RequestURI(); string(target) != c.target {
		c.target = string(target)
		c.path, c.query, _ = strings.Cut(c.target, "?")
	}
	c.ctx = ctx
	a := s.access.Load() // once: a reload may come between two checks
	c.access = a
	if !nc.local && !(nc.access == a && nc.knows(h.Host())) && !isProbe(h, c.path) {
		if err := checkHost(h, a); err != nil {
			return nil, nil, err
		}
		nc.host, nc.access = string(h.Host()), a
	}
	do, err = s.check(h, a)
	return c, do, err
}

// limitBody is called between head and body. It sets a limit of 1 byte for a request that will be refused, so that
// fasthttp does not read a body of known length; handleError then gives the real reason. With a chunked body, fasthttp
// discards the head, so such a body is read first.
func (s *Server) limitBody(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if _, err := s.check(h, s.access.Load()); err != nil && h.ContentLength() >= 0 {
		return fasthttp.RequestConfig{MaxRequestBodySize: 1}
	}
	return fasthttp.RequestConfig{}
}

// handle responds to a request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer s.count(ctx)
	defer func() {
		// fasthttp does not recover from panics, and this process holds clients.
		if v := recover(); v != nil {
			s.log.Error("panic in an API handler", "panic", v, "stack", string(debug.Stack()))
			ctx.Response.Reset()
			s.refuse(ctx, fmt.Errorf("panic: %v", v))
		}
	}()
	if s.isClosing() {
		ctx.SetConnectionClose()
	}
	c, do, err := s.admit(ctx)
	if err == nil {
		err = pass(s, c, do)
	}
	if err != nil {
		s.refuse(ctx, err)
	}
}

// count counts the response, and adds the headers that every response has.
func (s *Server) count(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	s.countStatus(ctx.Response.StatusCode())
}

func (s *Server) countStatus(status int) {
	s.mu.Lock()
	n := s.responses[status]
	if n == nil {
		n = s.metrics.NewCounter(fmt.Sprintf(`holdfast_api_requests_total{code="%d"}`, status))
		s.responses[status] = n
	}
	s.mu.Unlock()
	n.Inc()
}

func healthz(_ *Server, c *call) error {
	c.ctx.SetContentType("text/plain; charset=utf-8")
	c.ctx.SetBodyString("ok\n")
	return nil
}

func (s *Server) readyz(c *call) error {
	if s.options.Ready != nil {
		if err := s.options.Ready(); err != nil {
			return fmt.Errorf("%w: %w", errNotReady, err)
		}
	}
	c.ctx.SetContentType("text/plain; charset=utf-8")
	c.ctx.SetBodyString("ready\n")
	return nil
}

func (s *Server) writeMetrics(c *call) error {
	f := metric.Negotiate(string(c.ctx.Request.Header.Peek(fasthttp.HeaderAccept)))
	c.ctx.SetContentType(f.ContentType())
	w := metric.NewWriter(c.ctx, f)
	if s.options.Version != "" {
		w.Int("holdfast_build_info", 1, "version", s.options.Version)
	}
	writeCounts(s, w)
	w.WriteProcess()
	return w.Close()
}

// writeCounts writes all metrics but those of the process.
func writeCounts(s *Server, w *metric.Writer) {
	s.metrics.WritePrometheus(w)
	if s.options.Metrics != nil {
		s.options.Metrics(w)
	}
	w.Int("holdfast_page_viewers", int64(s.page.Viewers()))
}

// object returns the one JSON object that is the body of a call without parameters.
func (c *call) object() (v strictjson.Value, err error) {
	if _, err := parseQuery(c.query); err != nil {
		return v, err
	}
	return strictjson.Object(c.ctx.PostBody())
}
