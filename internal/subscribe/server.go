// Package subscribe serves requests to subscribe until they are decided: on a worker, it checks the request, authorizes
// the client and begins the response. What is allowed is handed over as a Spec, to be held; what is refused has a
// response with a JSON reason. docs/reference/client-protocol.md describes requests and refusals.
//
// A request is served by fasthttp on a goroutine of a pool. Requests for channels that the app decides about are served by
// the workers of [auth.Service], so that a slow app delays nobody else.
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
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/throttle"
)

// maxWait is how long a request may wait for its turn to ask the app.
const maxWait = 30 * time.Second

// Options of a Server.
type Options struct {
	Paths          []string                                                       // of the push URLs, none below another
	Below          map[string]func(*fasthttp.RequestCtx) (status int, why string) // what else is served below each of them
	Origins        []string                                                       // accepted beside the same origin: lower case, default port left out
	MaxChannels    int                                                            // of one connection
	MaxConnections int                                                            // held at once; 0: no limit of its own
	MaxPerUser     int                                                            // for the log, see AtLimit

	Dialects []Dialect // a request gets the first that matches; the last one takes all

	Rules       *channel.Rules
	Auth        *auth.Service
	AtLimit     func(user string) bool // reports whether a user has as many connections as may be held
	Tokens      auth.Verifier          // reads tokens, on a worker; nil: there are none
	TokenCookie string                 // where a token may be; empty: in no cookie

	Open     func() int64 // connections that are held
	Draining func() bool  // reports whether new ones are refused

	// Prepare does on the worker what of Hold may take long.
	Prepare func(s *Spec)

	// Hold holds a connection, on its loop. Gone tells of a client that has gone just before.
	Hold func(c *park.Conn, s *Spec)
	Gone func()

	// Resume takes a keep-alive connection back, on its loop; rest was read already, and more says that
	// further bytes may wait of which no event tells.
	Resume func(c *park.Conn, rest []byte, more bool)

	Poller *park.Poller
	Log    *slog.Logger
	Access *accesslog.Log // nil: none
}

// Server serves requests to subscribe.
type Server struct {
	o           Options
	engine      fasthttp.Server
	originHints throttle.Throttle // of logForeign
	noCookies   throttle.Throttle
	counts      counters
}

// New returns a server. It starts nothing.
func New(o Options) *Server {
	s := &Server{o: o}
	s.engine = fasthttp.Server{
		Handler: s.handle, NoDefaultServerHeader: true, DisablePreParseMultipartForm: true,
		ReadBufferSize: 64 << 10, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
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
	return s
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// PathOf returns that of the push paths which path is or is below, or nothing.
func PathOf(list []string, path []byte) string {
	for _, p := range list {
		if len(path) >= len(p) && string(path[:len(p)]) == p && (len(path) == len(p) || path[len(p)] == '/') {
			return p
		}
	}
	return ""
}

// Serve takes c over, on its loop. The head of r has passed the strict check; r is copied.
func (s *Server) Serve(c *park.Conn, r *request.Request) {
	if r.Body { // nobody would read it, and it must not be taken for the next request
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
		if !needsApp { // or it has logged that
			s.LogRejected(slog.LevelWarn, "all workers are busy and their queue is full", request.AddrText(r.Client))
		}
		s.turnAway(c, r, 503, "too busy", "")
	}
}

// needsApp reports whether the head of a request names a channel that the app is asked about.
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
		if i > s.o.MaxChannels { // it is refused
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
