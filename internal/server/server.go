package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"holdfast/hooks"
	"holdfast/internal/accesslog"
	"holdfast/internal/answering"
	"holdfast/internal/appcall"
	"holdfast/internal/collector"
	"holdfast/internal/config"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/listening"
	"holdfast/internal/page"
	"holdfast/internal/park"
	"holdfast/internal/presence"
	"holdfast/internal/pushfields"
	"holdfast/internal/succession"
	"holdfast/internal/takeover"
	"holdfast/internal/warnings"
	"holdfast/proxy"
	"holdfast/upgrade"
)

// NewLog returns a logger with the level and the format of the configuration, and its level, which may be changed.
func NewLog(c *config.Config, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(c))
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(page.Record(slog.NewJSONHandler(w, o))), level
	}
	return slog.New(page.Record(slog.NewTextHandler(w, o))), level
}

func levelOf(c *config.Config) (level slog.Level) {
	level.UnmarshalText([]byte(c.Log.Level)) // config has checked it
	return level
}

var errDraining = errors.New("shutting down")

// Server is one running Holdfast: its packages, connected to each other, and its listeners.
type Server struct {
	state     atomic.Pointer[state] // of the configuration that is in use
	reloads   reloads
	log       *slog.Logger
	lines     *page.Recorder
	owned     lifecycle // what New opened and Serve started
	poller    *park.Poller
	hub       *hub.Hub
	proxy     *proxy.Proxy
	keeper    *upgrade.Keeper
	hooks     *hooks.Server
	events    *appcall.EventSender // nil: events.url is not set
	presence  *presence.Tracker    // nil: neither a rule nor events need it
	watcher   *watching            // nil: the configuration has no watch
	pushed    *pushfields.Reader   // nil: push.headers is not set
	cache     *caching             // nil: it has neither polls nor cache
	injection *injection
	answers   *answering.Maker
	upstreams chan struct{}  // holds one: the upstreams are others
	accessLog *accesslog.Log // nil: none
	doctor    inspect.Sessions
	draining  atomic.Bool
	firstTLS  chan *tlsState // holds one: a listener has TLS now

	listeners     listening.Set
	hooksListener *succession.Listener
	succession    *succession.Succession
}

// New opens the listeners and the files that c names and returns a server that is ready for Serve. If it
// returns an error, it has closed everything again.
func New(c *config.Config, log *slog.Logger) (*Server, error) {
	return Take(context.Background(), c, log, nil)
}

// Take is New for a process that takes over from the one that has started it. If it returns an error, that one goes on, and
// this one has to end, as if ctx ends before everything has moved. taker may be nil: then it is New.
func Take(ctx context.Context, c *config.Config, log *slog.Logger, taker *takeover.Taker) (*Server, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collector.Percent)
	}
	metrics.ExposeMetadata(true) // of the process's and the API's own
	s := &Server{upstreams: make(chan struct{}, 1), firstTLS: make(chan *tlsState, 1)}
	s.lines, s.log = page.RecorderOf(log)
	s.reloads.last.Store(time.Now().Unix())
	s.succession, s.listeners.Inherit = succession.New(s.log, taker), taker.Listener
	if err := s.open(ctx, c); err != nil {
		if taker == nil {
			s.owned.stop(time.Now())
		} else { // what is open is the other process's, too
			s.listeners.Clean()
		}
		return nil, err
	}
	return s, nil
}

// open builds everything. Its caller stops what was opened before an error.
func (s *Server) open(ctx context.Context, c *config.Config) (err error) {
	first, err := newState(c)
	if err != nil {
		return err
	}
	s.state.Store(first)
	s.lines.Hide(secrets(c)...)
	if err := s.openAccessLog(); err != nil {
		return err
	}
	if first.tls, err = newTLS(s, c); err != nil {
		return err
	}
	s.owned.run(s.handleSignals)
	plan, err := openListeners(s, c)
	if err != nil {
		return err
	}
	first.at = plan.Addrs
	if err := s.newPoller(); err != nil {
		return err
	}
	first.tls.listen(s, c)
	if first.secure, err = newSecureUpstreams(s.log).next(c, s.poller, s.log); err != nil {
		return err
	}
	if first.calls, err = newCalls(first); err != nil {
		return err
	}
	s.owned.onStop(func(time.Time) { s.state.Load().calls.close() })
	if err := s.newWatcher(); err != nil {
		return err
	}
	if s.cache, err = newCache(c); err != nil {
		return err
	}
	if s.cache != nil {
		s.cache.Changed = s.succession.Clear
		s.owned.run(s.cache.serve)
	}
	if s.hub, err = s.newHub(); err != nil {
		return err
	}
	s.newEvents()
	s.newHeld()
	newPushed(s)
	s.injection, s.answers = newInjection(s), answering.New(s.log)
	s.keeper = s.newKeeper()
	o, gates, err := s.proxying(first, nil)
	if err != nil {
		return err
	}
	s.proxy, first.gates = proxy.New(s.poller, o), gates
	warn(s, c)
	s.hooks = s.newHooks()
	if err := plan.Open(s.poller); err != nil {
		return err
	}
	plan.Use(s.proxy.Accept, first.tls.accept(s.proxy.Accept))
	return join(ctx, s)
}

// warn logs what is likely not meant.
func warn(s *Server, c *config.Config) {
	for _, warning := range warnings.Watch(c) {
		s.log.Warn("watch may not do what is meant", "reason", warning)
	}
	for _, warning := range warnings.Cache(c) {
		s.log.Warn("rule of polls or cache may not do what is meant", "reason", warning)
	}
	for _, warning := range warnings.Cookies(c) {
		s.log.Warn("session cookie may not do what is meant", "reason", warning)
	}
	for _, warning := range warnings.Sites(c) {
		s.log.Warn("directory less protected than with Apache", "reason", warning)
	}
}

// openAccessLog opens log.access_log, if it is set, and starts writing to it.
func (s *Server) openAccessLog() (err error) {
	c := s.conf()
	if c.Log.Access == "" {
		return nil
	}
	if s.accessLog, err = accesslog.Open(c.Log.Access, c.Log.AccessFormat == "json"); err != nil {
		return fmt.Errorf("log.access_log: %w", err)
	}
	switch c.Log.AccessFormat {
	case "combined_trace":
		s.accessLog.ShowTrace()
	case "combined_cache":
		s.accessLog.ShowCache()
	}
	s.accessLog.Hide("token", c.Push.AllPaths()...)
	s.owned.run(func(ctx context.Context) {
		s.accessLog.Serve(ctx, func(err error) { s.log.Error("access log not written; lines are lost", "error", err) })
	})
	return nil
}

// handleSignals reloads at SIGHUP, reopens the access log at SIGUSR1, and has a new process take over at SIGUSR2. Without
// it any of them would end the process.
func (s *Server) handleSignals(ctx context.Context) {
	onSignal(ctx, s.succession.Begin, func() { _, _ = s.Reload() }, func() { // Reload logs its result
		if err := s.accessLog.Reopen(); err != nil {
			s.log.Error("access log not reopened; still writing the old file", "error", err)
		}
	})
}

// ready returns why clients can't be served now, or nil.
func (s *Server) ready() error {
	if s.draining.Load() {
		return errDraining
	}
	return nil
}

// newPoller makes the poller. Until Serve runs its loops, stopping it means to run them once.
func (s *Server) newPoller() (err error) {
	c := s.conf()
	s.poller, err = park.New(park.Options{
		Loops: loops(), MaxConns: maxConns(c), PerAddr: c.Limits.PerAddress, Exempt: s.trusted, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.owned.onStop(func(time.Time) {
		if !s.owned.served {
			s.poller.Shutdown()
			_ = s.poller.Serve() // closes what the loops have
		}
	})
	return nil
}

func (s *Server) newHooks() *hooks.Server {
	c := s.conf()
	return hooks.New(hooks.Options{
		Live: s.state.Load().api(), MaxBody: int(c.Hooks.MaxBody),
		KeyAge: time.Duration(c.Hooks.IdempotencyAge), KeySize: int64(c.Hooks.IdempotencySize),
		Presence: s.presence, Connections: s.keeper, Cache: s.cache.changes(),
		OnChanged: s.watcher.changed(), Inspect: &s.doctor, Settings: func() any { return settingsOf(s) },
		Hub: s.hub, Log: s.log, Version: Version(), Metrics: s.writeMetrics, Timings: s.timings, Lines: s.lines, Ready: s.ready, Reload: s.Reload, TakeOver: s.succession.TakeOver,
	})
}

// maxConns reserves a part of the file limit for connections to the app, the API and files, so that waiting clients
// can't use up what the others need.
func maxConns(c *config.Config) int {
	limit := fileLimit()
	if c.Limits.Connections > 0 || limit <= 0 {
		return c.Limits.Connections
	}
	return limit - max(limit/32, 32)
}

// Serve runs everything until ctx ends, then drains: it accepts no new connections, ends held ones, and gives requests
// in progress until timeouts.drain. It may be called once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.owned.served = true
	var failed error
	var once sync.Once
	// start runs f until stop; if f ends, so does everything.
	start := func(name string, f func() error, stop func()) {
		var group sync.WaitGroup
		group.Go(func() {
			if err := f(); err != nil && !errors.Is(err, hooks.ErrClosed) {
				once.Do(func() { failed = fmt.Errorf("%s: %w", name, err) })
			}
			cancel()
		})
		s.owned.onStop(func(time.Time) { stop(); group.Wait() })
	}
	s.owned.onStop(func(time.Time) { s.succession.Close() })
	start("listen", s.poller.Serve, s.poller.Shutdown)
	s.owned.run(s.succession.Late)
	s.owned.run(func(ctx context.Context) { serveTLS(ctx, s) })
	s.owned.run(secureOf(s).files.Serve)
	s.owned.run(s.watchUpstreams)
	start("history", func() error { return s.sweep(ctx) }, cancel)
	start("hooks.listen", func() error { return s.hooks.Serve(s.hooksListener) }, s.shutdownHooks)
	s.startEvents()
	stopWatcher := s.startWatcher()
	s.succession.Serving()
	select {
	case <-ctx.Done():
	case <-s.succession.Moved():
	}
	left := s.succession.End()
	stopWatcher() // nobody is left to be told
	if !left {
		defer s.owned.tellStopping()()
		s.owned.stop(s.drain())
		return failed
	}
	by, err := leave(ctx, s)
	s.owned.stop(by)
	return cmp.Or(err, failed)
}

// watchUpstreams looks up the names of the upstreams, and checks their health, until ctx ends.
func (s *Server) watchUpstreams(ctx context.Context) {
	for ctx.Err() == nil {
		set := s.proxy.Upstreams()
		of, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		if set.Named() {
			group.Go(func() { _ = set.Resolve(of) }) // it ends with its context only
		}
		group.Go(func() { _ = set.Check(of) }) // the same
		select {
		case <-ctx.Done():
		case <-s.upstreams:
		}
		cancel()
		group.Wait()
	}
}

// shutdownHooks gives API requests in progress a second.
func (s *Server) shutdownHooks() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.hooks.Shutdown(ctx) // the rest is cut off
}

// stormConns is how many connections opened or closed between two sweeps count as a storm.
const stormConns = 250

// sweep drops expired history, and returns memory to the system after a storm: then most of it is garbage that the
// runtime would keep for minutes, and program text that is no longer used.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	var accepted, left int64       // at the tick before
	started, stormy := true, false // then
	var full evictions
	var gc collector.Collector
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.succession.Change(func() { s.hub.Sweep(now) })
			s.cache.sweep(now, s.log)
			if s.tls() != nil {
				gc.Adapt()
			}
			full.look(s.hub.Stats().Evicted, now, s.log)
			stats := s.poller.Stats()
			moved := stats.Accepted - accepted + stats.Accepted - stats.Clients - left
			accepted, left = stats.Accepted, stats.Accepted-stats.Clients
			if moved > stormConns || stormy {
				s.poller.Trim()
				debug.FreeOSMemory() // also once after it
			}
			if started || stormy && moved <= stormConns {
				releaseText()
			}
			started, stormy = false, moved > stormConns
		}
	}
}

// maxBacklogTime is how long a shutdown waits for published messages that have not reached the connections yet.
const maxBacklogTime = time.Second

// drain waits until the clients are gone or timeouts.drain is over, and returns when that is.
func (s *Server) drain() (by time.Time) {
	s.reloads.mu.Lock() // or one could open another listener
	s.draining.Store(true)
	s.log.Info("holdfast is shutting down", "drain", time.Duration(s.conf().Timeouts.Drain))
	s.poller.StopListening()
	s.reloads.mu.Unlock()
	by = time.Now().Add(time.Duration(s.conf().Timeouts.Drain))
	// A message that was published before is sent first: history in memory ends with the process.
	for end := time.Now().Add(maxBacklogTime); time.Now().Before(end) && time.Now().Before(by) && s.hub.Stats().Backlog > 0; {
		time.Sleep(5 * time.Millisecond)
	}
	s.keeper.Drain()
	s.proxy.Drain()
	s.tls().drain(s.poller)
	for time.Now().Before(by) && s.poller.Stats().Clients > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	s.proxy.Cut()
	return by
}
