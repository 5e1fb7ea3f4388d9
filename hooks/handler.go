package hooks

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"

	"holdfast/internal/metric"
	"holdfast/internal/strictjson"
)

// call is one request of which the head is found good.
type call struct {
	ctx   *fasthttp.RequestCtx // nil before the body has come
	path  string               // as sent
	query string               // as sent
	do    func(*call) error
}

const (
	channelsPath = "/channels"
	getMethods   = fasthttp.MethodGet + ", " + fasthttp.MethodHead
)

// route returns the handler of a path, nil if there is none, and the value of Allow.
func (s *Server) route(path string) (methods string, do func(*call) error) {
	switch path {
	case "/publish":
		return fasthttp.MethodPost, s.publish
	case channelsPath:
		return getMethods, s.channels
	case "/position":
		return getMethods, s.position
	case connectionsPath:
		if s.options.Connections != nil {
			return getMethods, s.connections
		}
	case "/disconnect":
		if s.options.Connections != nil {
			return fasthttp.MethodPost, s.disconnect
		}
	case "/subscribe":
		if s.options.Connections != nil {
			return fasthttp.MethodPost, s.subscribe
		}
	case "/unsubscribe":
		if s.options.Connections != nil {
			return fasthttp.MethodPost, s.unsubscribe
		}
	case "/healthz":
		return getMethods, s.healthz
	case "/readyz":
		return getMethods, s.readyz
	case "/metrics":
		return getMethods, s.writeMetrics
	}
	if name, ok := strings.CutPrefix(path, channelsPath+"/"); ok {
		name, part, _ := strings.Cut(name, "/")
		switch {
		case name == "":
		case part == "" && !strings.HasSuffix(path, "/"):
			return getMethods, s.channel
		case "/"+part == usersPath:
			return getMethods, s.users
		case "/"+part == messagesPath:
			return getMethods, s.messages
		}
	}
	if id, ok := strings.CutPrefix(path, connectionsPath+"/"); ok && id != "" && s.options.Connections != nil {
		return getMethods, s.connection
	}
	return "", nil
}

// check goes through everything that can be refused by the head alone. The target is compared as it was
// sent: there is one spelling of each path here.
func (s *Server) check(h *fasthttp.RequestHeader, anyHost bool) (*call, error) {
	c := new(call)
	c.path, c.query, _ = strings.Cut(string(h.RequestURI()), "?")
	if !anyHost && !isProbe(h, c.path) {
		if err := s.checkHost(h); err != nil {
			return nil, err
		}
	}
	if err := checkBrowser(h); err != nil {
		return nil, err
	}
	if c.path != "/healthz" {
		if err := s.checkToken(h); err != nil {
			return nil, err
		}
	}
	var methods string
	if methods, c.do = s.route(c.path); c.do == nil {
		return nil, fmt.Errorf("%w: %.100q", errPath, c.path)
	}
	if m := string(h.Method()); m != methods && (methods != getMethods || m != fasthttp.MethodGet && m != fasthttp.MethodHead) {
		return nil, methodError{methods}
	}
	return c, nil
}

func (s *Server) admit(ctx *fasthttp.RequestCtx) (*call, error) {
	c, ok := ctx.Conn().(*conn)
	return s.check(&ctx.Request.Header, ok && c.local)
}

// limitBody is called between head and body. Who is going to be refused does not get to send a body of
// known length: the engine finds it too large, and handleError then gives the real reason. With a
// chunked one the engine forgets the head, so those are read first.
func (s *Server) limitBody(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if _, err := s.check(h, true); err != nil && h.ContentLength() >= 0 {
		return fasthttp.RequestConfig{MaxRequestBodySize: 1}
	}
	return fasthttp.RequestConfig{}
}

// handle answers a request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer s.count(ctx)
	defer func() {
		// The engine does not recover, and clients are held in this process.
		if v := recover(); v != nil {
			s.log.Error("hooks handler panicked", "panic", v, "stack", string(debug.Stack()))
			ctx.Response.Reset()
			s.refuse(ctx, fmt.Errorf("panic: %v", v))
		}
	}()
	if s.isClosing() {
		ctx.SetConnectionClose()
	}
	c, err := s.admit(ctx)
	if err == nil {
		c.ctx = ctx
		err = c.do(c)
	}
	if err != nil {
		s.refuse(ctx, err)
	}
}

// count counts the answer, whatever it was, and adds what every answer has.
func (s *Server) count(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	s.countStatus(ctx.Response.StatusCode())
}

func (s *Server) countStatus(status int) {
	s.metrics.GetOrCreateCounter(fmt.Sprintf(`holdfast_api_requests_total{code="%d"}`, status)).Inc()
}

func (s *Server) healthz(c *call) error {
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
	w := metric.NewWriter(c.ctx)
	if s.options.Version != "" {
		w.Int("holdfast_build_info", 1, "version", s.options.Version)
	}
	s.metrics.WritePrometheus(w)
	if s.options.Metrics != nil {
		s.options.Metrics(w)
	}
	c.ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	return w.Err()
}

// object returns the one JSON object that is the body of a call without parameters.
func (c *call) object() (v strictjson.Value, err error) {
	if _, err := parseQuery(c.query); err != nil {
		return v, err
	}
	return strictjson.Object(c.ctx.PostBody())
}
