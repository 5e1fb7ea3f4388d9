package hooks

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"holdfast/internal/apigate"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/metric"
	"holdfast/internal/page"
	"holdfast/internal/presence"
)

const (
	defaultMaxBody = 1 << 20

	maxConns     = 1024
	maxHead      = 16 << 10 // bytes of request line and fields
	readTimeout  = time.Minute
	writeTimeout = time.Minute
	idleTimeout  = 75 * time.Second
)

// ErrClosed is returned by Serve after Shutdown.
var ErrClosed = errors.New("hooks: server closed")

// Options are the properties of a Server. Hub is required.
type Options struct {
	Live // of the beginning; see Use

	MaxBody int // bytes of one request's body; zero means 1 MiB

	KeyAge  time.Duration // how long an idempotency key is stored; zero means 10 minutes
	KeySize int64         // memory for all of them in bytes; zero means 16 MiB

	Presence *presence.Tracker // needed if a rule has presence

	Connections Connections // nil: the API has no endpoints for connections
	Cache       Cache       // nil: no response of the app is stored

	// The sessions of holdfast doctor; nil: the API has none. Settings returns what doctor needs to know of this process,
	// as JSON has it.
	Inspect  *inspect.Sessions
	Settings func() any

	// OnChanged is called for each channel of a message without data, after it was published. Nil: nobody wants to know.
	OnChanged func(channel string)

	Hub     *hub.Hub
	Log     *slog.Logger             // nil: no log
	Metrics func(w *metric.Writer)   // writes the metrics of the other packages; the Server adds its own, and the process's
	Version string                   // for /metrics, and the page for people
	Timings func() page.Timings      // for the page for people; nil: none
	Lines   *page.Recorder           // of the log, for the page for people; nil: none
	Reload  func() (Reloaded, error) // reads the configuration again; nil: the API has no endpoint for it

	TakeOver func() (apigate.TakenOver, error) // has a new process take over, and returns when it has; nil: as Reload
	Ready    func() error                      // returns why clients can't be served now, or nil; a nil Ready means that they can
}

// Server serves the API.
type Server struct {
	// Static after construction.
	options     Options // without Live, which are those of access
	page        *page.Page
	engine      fasthttp.Server
	log         *slog.Logger
	metrics     *metrics.Set
	access      atomic.Pointer[access] // see Use
	refusals    *refusalLog
	idempotency *idempotencyCache
	gate        apigate.Gate

	mu        sync.Mutex               // guards what follows, and conn.idle
	responses map[int]*metrics.Counter // by status
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	closing   bool
	closingc  chan struct{} // closed by Shutdown
	emptyc    chan struct{} // closed when, after that, the last connection and the last Serve have ended
}

// New returns a server. It starts nothing.
func New(o Options) *Server {
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options:   o,
		log:       o.Log,
		metrics:   metrics.NewSet(),
		refusals:  newRefusalLog(),
		listeners: make(map[net.Listener]bool),
		conns:     make(map[*conn]bool),
		responses: make(map[int]*metrics.Counter),
		closingc:  make(chan struct{}),
		emptyc:    make(chan struct{}),
	}
	s.Use(o.Live)
	s.options.Live = Live{} // that nobody takes it for the present one
	s.page = newPage(s)
	s.idempotency = newIdempotencyCache(o.KeyAge, o.KeySize, o.Log, s.metrics)
	s.engine = fasthttp.Server{
		Handler:               s.handle,
		ErrorHandler:          s.handleError,
		HeaderReceived:        s.limitBody,
		ConnState:             s.connState,
		Concurrency:           maxConns,
		ReadBufferSize:        maxHead,
		MaxRequestBodySize:    o.MaxBody,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		Logger:                engineLog{o.Log},
		ReduceMemoryUsage:     true, // no buffers for idle connections, and large bodies do not stay in pools
		NoDefaultServerHeader: true,
		SecureErrorLogMessage: true,
		// A multipart body is data to publish unchanged, too.
		DisablePreParseMultipartForm: true,
	}
	return s
}

// Serve serves the API on ln until Shutdown, and then returns ErrClosed, or until ln fails. It closes ln, and returns
// after the last of its connections has ended. Several Serves may run at once.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close() //nolint:errcheck // closed already after Shutdown
	if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() && !s.access.Load().secret {
		return CheckBind(ln.Addr().String(), "")
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[ln] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, ln)
		s.settleLocked()
		s.mu.Unlock()
	}()

	var conns sync.WaitGroup
	defer conns.Wait()
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
		case s.isClosing():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default: // mostly too many open files, which is temporary
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Error("API listener: accept failed; trying again", "error", err, "retry_in", pause)
			select {
			case <-time.After(pause):
			case <-s.closingc:
			}
			continue
		}
		c := &conn{Conn: nc, idle: true, local: ln.Addr().Network() == "unix"}
		if !s.track(c) {
			_ = nc.Close()
			continue
		}
		conns.Go(func() { s.serveConn(c) })
	}
}

func (s *Server) serveConn(c *conn) {
	defer s.forget(c)
	if err := s.engine.ServeConn(c); err != nil {
		s.logEnd(c, err)
	}
}

// Shutdown closes the listeners and the idle connections, and waits for the others. If ctx ends first, it closes them,
// too, and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.closingc)
	}
	for ln := range s.listeners {
		_ = ln.Close()
	}
	for c := range s.conns {
		if c.idle {
			_ = c.Conn.Close()
		}
	}
	s.settleLocked()
	s.mu.Unlock()
	s.page.Close()

	select {
	case <-s.emptyc:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Conn.Close()
	}
	s.mu.Unlock()
	return ctx.Err()
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// track reports whether a connection is to be served. In a flood, those that are refused are closed at once, or they would
// use up the descriptors that clients need.
func (s *Server) track(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = true
	c.linger = len(s.conns) <= 2*s.engine.Concurrency
	return true
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.settleLocked()
	s.mu.Unlock()
}

// settleLocked wakes Shutdown when nothing is left to wait for.
func (s *Server) settleLocked() {
	if s.closing && len(s.conns)+len(s.listeners) == 0 {
		select {
		case <-s.emptyc:
		default:
			close(s.emptyc)
		}
	}
}

// connState notes which connections are idle, so that Shutdown may close them. It runs on the connection's goroutine.
func (s *Server) connState(nc net.Conn, state fasthttp.ConnState) {
	c := nc.(*conn)
	if state == fasthttp.StateHijacked { // it belongs to a viewer's goroutine now
		return
	}
	c.linger = c.linger && state != fasthttp.StateActive
	s.mu.Lock()
	defer s.mu.Unlock()
	c.idle = state == fasthttp.StateIdle
	if c.idle && s.closing {
		_ = c.Conn.Close()
	}
}
