package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"holdfast/hooks"
	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/hub"
	"holdfast/internal/keep"
	"holdfast/internal/park"
	"holdfast/internal/presence"
	"holdfast/internal/token"
	"holdfast/proxy"
	"holdfast/upgrade"
)

// gcPercent lets the heap grow by a quarter between collections: what is held is small and lives long,
// so collections are cheap, and at Go's 100 half the memory would be garbage not yet returned.
const gcPercent = 25

func run(args []string, errs io.Writer) error {
	f := newFlags("run", "", errs)
	path := f.String("config", "", "configuration `file`; default config.yaml, or the defaults without one")
	if err := parseFlags(f, args); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	lines := newLogWriter(errs)
	defer lines.Close()
	log := newLog(c, lines)
	s, err := newServer(c, log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Info("holdfast is up", "listen", s.addr, "upstream", c.Servers()[0].URL, "hooks", s.hooksAddr, "push", c.Push.Path)
	return s.serve(ctx)
}

func newLog(c *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(c.Log.Level)) // config has checked it
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// server is the rooms, introduced to each other, on their listeners.
type server struct {
	config    *config.Config
	log       *slog.Logger
	poller    *park.Poller
	hub       *hub.Hub
	file      *keep.File // nil: history is in memory only
	proxy     *proxy.Proxy
	keeper    *upgrade.Keeper
	hooks     *hooks.Server
	asker     *hooks.Authorizer
	verifier  *token.Verifier  // nil: no tokens are taken
	messenger *hooks.Messenger // nil: what clients say is posted nowhere
	poster    *hooks.Poster    // nil: the app is told of no events
	teller    *hooks.Teller    // the same
	roll      *presence.Roll   // nil: nobody wants to know who is there
	accessLog *access.Log      // nil: none

	hooksListener   net.Listener
	addr, hooksAddr net.Addr
}

// newServer opens both listeners, or neither. Nothing is served before serve.
func newServer(c *config.Config, log *slog.Logger) (*server, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	s := &server{config: c, log: log}
	if err := hooks.CheckBind(c.Hooks.Listen.Address, c.Hooks.Token); c.Hooks.Listen.Network == "tcp" && err != nil {
		return nil, err
	}
	if c.Log.Access != "" {
		var err error
		if s.accessLog, err = access.Open(c.Log.Access, c.Log.AccessFormat == "json"); err != nil {
			return nil, fmt.Errorf("log.access: %w", err)
		}
		s.accessLog.Hide(c.Push.Path, "token")
	}
	var err error
	if s.verifier, err = newVerifier(&c.Push.JWT); err != nil {
		return nil, err
	}
	front, err := listen(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if s.hooksListener, err = listen(c.Hooks.Listen); err != nil {
		front.Close()
		return nil, fmt.Errorf("hooks.listen: %w", err)
	}
	s.addr, s.hooksAddr = front.Addr(), s.hooksListener.Addr()
	if s.poller, err = park.New(park.Options{
		MaxConns: maxConns(c), PerAddr: c.Limits.PerAddress, Exempt: s.trusted, Log: log,
	}); err != nil {
		front.Close()
		s.hooksListener.Close()
		return nil, err
	}
	if s.hub, err = s.newHub(); err != nil {
		front.Close()
		s.hooksListener.Close()
		return nil, err
	}
	s.newEvents()
	s.keeper = s.newKeeper()
	if s.proxy, err = s.newProxy(); err != nil {
		front.Close()
		s.hooksListener.Close()
		s.closeHistory()
		return nil, err
	}
	s.hooks = hooks.New(hooks.Options{
		Token: c.Hooks.Token, Hosts: c.Hooks.Hosts, MaxBody: int(c.Hooks.MaxBody),
		KeyAge: time.Duration(c.Hooks.IdempotencyAge), KeySize: int64(c.Hooks.IdempotencySize),
		Rule:         func(channel string) bool { _, ok := c.Rule(channel); return ok },
		ValidChannel: config.ValidChannel, Pattern: c.AllowsPattern, Connections: connections{s.keeper},
		Present: s.present, Presence: s.roll,
		Hub: s.hub, Log: log, Version: version(), Metrics: s.writeMetrics,
	})
	if err := s.poller.Listen(front, s.proxy.Accept); err != nil {
		s.hooksListener.Close()
		s.closeHistory()
		return nil, err
	}
	return s, nil
}

// maxConns leaves a part of the file limit to connections to the app, the hooks and files: clients that
// only wait must not take what is needed to serve the others.
func maxConns(c *config.Config) int {
	limit := fileLimit()
	if c.Limits.Connections > 0 || limit <= 0 {
		return c.Limits.Connections
	}
	return limit - max(limit/32, 32)
}

func listen(l config.Listen) (net.Listener, error) {
	if l.Network == "unix" { // a socket left by a process that is gone
		if c, err := net.Dial("unix", l.Address); err == nil {
			c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(l.Address)
		}
	}
	return net.Listen(l.Network, l.Address)
}

// serve runs everything until ctx ends, then drains: no new connections, held clients are told, and
// requests in progress have until timeouts.drain.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	var failed error
	var once sync.Once
	start := func(name string, f func() error) {
		group.Go(func() {
			if err := f(); err != nil && !errors.Is(err, hooks.ErrClosed) {
				once.Do(func() { failed = fmt.Errorf("%s: %w", name, err) })
			}
			cancel() // the first to end stops the others
		})
	}
	start("listen", s.poller.Serve)
	start("hooks.listen", func() error { return s.hooks.Serve(s.hooksListener) })
	if s.proxy.Named() {
		start("upstream", func() error { return s.proxy.Resolve(ctx) })
	}
	start("upstream_pool.check", func() error { return s.proxy.Check(ctx) })
	start("history", func() error { return s.sweep(ctx) })
	logged := s.serveAccess()
	saved := s.serveHistory()
	told := s.serveEvents()
	<-ctx.Done()
	s.drain(told)
	group.Wait()
	logged() // after the last request
	saved()
	return failed
}

// serveAccess writes the access log until the function it returns is called.
func (s *server) serveAccess() (stop func()) {
	if s.accessLog == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	report := func(err error) { s.log.Error("access log not written; lines wait", "error", err) }
	group.Go(func() { s.accessLog.Serve(ctx, report) })
	group.Go(func() {
		onReopen(ctx, func() {
			if err := s.accessLog.Reopen(); err != nil {
				s.log.Error("access log not opened again; the old one goes on", "error", err)
			}
		})
	})
	return func() { cancel(); group.Wait() }
}

// stormConns that came or went between two sweeps are a storm.
const stormConns = 250

// sweep drops history by age, and gives memory back after a storm: most of what a process holds then is
// garbage that the runtime would keep for minutes, and the text of what it went through.
func (s *server) sweep(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	var accepted, left int64       // at the tick before
	started, stormy := true, false // then
	var full evictions
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.hub.Sweep(now)
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

func (s *server) drain(told func(by time.Time)) {
	s.log.Info("holdfast is going down", "drain", time.Duration(s.config.Timeouts.Drain))
	s.poller.StopListening()
	s.keeper.Drain()
	s.proxy.Drain()
	by := time.Now().Add(time.Duration(s.config.Timeouts.Drain))
	for time.Now().Before(by) && s.poller.Stats().Clients > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	told(by)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.hooks.Shutdown(ctx)
	s.poller.Shutdown()
	if s.asker != nil {
		s.asker.Close()
	}
	if s.messenger != nil {
		s.messenger.Close()
	}
}
