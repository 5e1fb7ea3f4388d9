// Package subscribe serves requests to subscribe until they are decided: on a worker, it checks the request, authorizes
// the client and begins the response. It passes an allowed request on as a Spec, to be held. A refused one gets a
// response with a JSON reason. docs/reference/client-protocol.md describes requests and refusals.
//
// A request is served by fasthttp on a goroutine of a pool. Requests for channels with access authorize are served by
// the workers of [auth.Service], so that a slow app delays no others.
package subscribe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/inspect"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/throttle"
)

// MaxWait is how long a request may wait for its authorization request.
const MaxWait = 30 * time.Second

// Options of a Server.
type Options struct {
	Settings

	Paths      []string                                                       // of the push URLs; none is below another
	Below      map[string]func(*fasthttp.RequestCtx) (status int, why string) // other paths that are served below each of them
	MaxPerUser int                                                            // for the log, see AtLimit

	Dialects []Dialect // a request gets the first that matches; the last one takes all

	Inspect *inspect.Sessions // of holdfast doctor; nil: none
	Auth    *auth.Service
	AtLimit func(user string) bool // reports whether a user is at the limit of connections

	Present  func() *Settings // those of new requests; nil: the server's own
	Open     func() int64     // number of held connections
	Draining func() bool      // reports whether Holdfast shuts down
	Moved    func() bool      // reports whether another process has the connections

	// Prepare does the slow part of Hold, on the worker.
	Prepare func(s *Spec)

	// Hold holds a connection, on its loop. Gone is called for a client that has disconnected just before.
	Hold func(c *park.Conn, s *Spec)
	Gone func()

	// Resume takes a keep-alive connection back, on its loop. rest was read already; more means that further bytes may
	// wait for which no event follows.
	Resume func(c *park.Conn, rest []byte, more bool)

	Poller *park.Poller
	Log    *slog.Logger
	Access *accesslog.Log // nil: none
}

// Server serves requests to subscribe.
type Server struct {
	o Options

	small *fasthttp.Server // for heads of at most smallHead bytes
	large *fasthttp.Server
	*notes
}

// New returns a server. It starts nothing.
func New(o Options) *Server { return newServer(o, new(notes)) }

// With returns a server with other settings, which has the counts of s. Requests that s has begun keep its settings.
func (s *Server) With(set *Settings) *Server {
	o := s.o
	o.Settings = *set
	return newServer(o, s.notes)
}

func newServer(o Options, n *notes) *Server {
	s := &Server{o: o, notes: n}
	s.small, s.large = s.newEngine(smallHead), s.newEngine(64<<10)
	return s
}

// Settings returns the settings of s, which are not changed.
func (s *Server) Settings() *Settings { return &s.o.Settings }

// notes is what servers with different settings count together, and what keeps their lines in the log rare.
type notes struct {
	counts      counters
	originHints throttle.Throttle // of logForeign
	noCookies   throttle.Throttle
}

// smallHead is the size of most heads. Read buffers last until the next collection of garbage, which comes the sooner the
// larger they are.
const smallHead = 4 << 10

// newEngine returns an engine for heads of at most size bytes.
func (s *Server) newEngine(size int) *fasthttp.Server {
	return &fasthttp.Server{
		Handler: s.handle, NoDefaultServerHeader: true, DisablePreParseMultipartForm: true,
		ReadBufferSize: size, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		KeepHijackedConns: true, SecureErrorLogMessage: true, Logger: silent{},
		ErrorHandler: func(ctx *fasthttp.RequestCtx, err error) {
			status, why := 400, "malformed request"
			if small := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &small) {
				status, why = 431, "request head too large"
			}
			s.counts.reject(byStatus, status)
			s.refuse(ctx, status, why, "")
		},
		ConnState: func(c net.Conn, state fasthttp.ConnState) {
			if state == fasthttp.StateIdle {
				c.(*Request).idle()
			}
		},
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// PathOf returns the push path that path is at or below; empty: none.
func PathOf(list []string, path []byte) string {
	for _, p := range list {
		if len(path) >= len(p) && string(path[:len(p)]) == p && (len(path) == len(p) || path[len(p)] == '/') {
			return p
		}
	}
	return ""
}

// Serve takes over c, on its loop. The head of r has passed the strict check; r is copied.
func (s *Server) Serve(c *park.Conn, r *request.Request) {
	if r.Body { // the body would not be read, and must not be taken for the next request
		s.turnAway(c, r, 400, "a body has no meaning here", "")
		return
	}
	v := &Request{s: s, req: r.Clone(), came: time.Now()}
	v.Spec.Client = v.req.Client
	v.closes = dropClose(v.req.Head)
	v.Stream = park.NewStream(c, v.req.Head)
	run, needsApp := s.o.Poller.Go, s.needsApp(r.Head)
	if needsApp {
		run = s.o.Auth.Go
	}
	if !run(v.serve) {
		v.Stream.Cancel()
		if !needsApp { // otherwise auth.Service has logged it
			s.logRejected(r, slog.LevelWarn, "all workers are busy and their queue is full")
		}
		s.turnAway(c, r, 503, "too busy", "")
	}
}

// needsApp reports whether the head of a request names a channel that the app decides about.
func (s *Server) needsApp(head []byte) bool {
	if !s.o.Auth.Available() {
		return false
	}
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	_, query, _ := bytes.Cut(target, []byte("?"))
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	for i, name := range args.PeekMulti("channel") {
		if i > s.o.MaxChannels { // it will be refused
			return false
		}
		if auth.Access(s.o.Rules, string(name)) == channel.Authorize {
			return true
		}
	}
	return false
}

// LogRejected logs a subscribe request that is rejected: the reason names the key to look at, if there is one.
func (s *Server) LogRejected(level slog.Level, reason, client string, fields ...any) {
	s.o.Log.Log(context.Background(), level, "subscribe rejected", append([]any{"reason", reason, "client", client}, fields...)...)
}

// logRejected is LogRejected for a request, with its trace.
func (s *Server) logRejected(r *request.Request, level slog.Level, reason string, fields ...any) {
	s.LogRejected(level, reason, request.AddrText(r.Client), r.Trace.With(fields)...)
}
