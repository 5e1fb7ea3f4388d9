package server

import (
	"context"
	"os/exec"
	"time"

	"holdfast/internal/headread"
	"holdfast/internal/heldpoll"
	"holdfast/internal/park"
	"holdfast/internal/proxyheader"
	"holdfast/internal/succession"
	"holdfast/internal/takeover"
	"holdfast/proxy"
	"holdfast/upgrade"
)

// StartWith says how the process is started that takes over. Without it, none does. Call it before Serve.
func (s *Server) StartWith(command func() (*exec.Cmd, error)) { s.succession.StartWith(command) }

// OnStopping has f called when a shutdown begins, unless another process has taken over. Call it before Serve.
func (s *Server) OnStopping(f func()) { s.owned.stopping = f }

// join says what moves to another process, and takes over what the one before has.
func join(ctx context.Context, s *Server) error {
	held := upgrade.NewMover(s.keeper)
	var forget func()
	if s.cache != nil {
		forget = func() { s.cache.Store.Clear() }
	}
	s.succession.Use(succession.Options{
		Clear:  forget,
		Poller: s.poller, API: s.hooksListener, Listeners: s.listeners.Names, Hooks: s.hooks, Token: s.conf().Hooks.Token, Hub: s.hub,
		Presence: s.presence, Events: s.events, Auth: s.keeper.AuthCache(),
		Held: held.Queues(), Left: held.Leave, Reader: s.proxy.HeadReader, Publish: newPublisher(s), Sessions: s.keeper, Version: Version(),
		Kinds: func() (layers, kinds []takeover.Kind) { return kindsOf(s, held) },
		Alone: s.reloads.alone,
	})
	return s.succession.Arrive(ctx)
}

// kindsOf returns the kinds of connections that move, and of their layers.
func kindsOf(s *Server, held *upgrade.Mover) (layers, kinds []takeover.Kind) {
	kinds = []takeover.Kind{held, idle(s.proxy), &proxyheader.Waiting{ID: "proxy-header", Owns: isFront, Accept: s.proxy.Accept}}
	if t := s.tls(); t != nil {
		reader := func(l *park.Loop) park.Handler { return s.proxy.HeadReader(l) }
		layers = append(layers, t.server.Layer())
		kinds = append(kinds, t.server.Hellos(reader),
			&proxyheader.Waiting{ID: "proxy-header-tls", Owns: isAfterHeader, Accept: t.accept(s.proxy.Accept)})
	}
	return layers, kinds
}

// idle returns the kind of connections that wait for a request, or whose poll is held.
func idle(p *proxy.Proxy) *headread.Idle {
	return &headread.Idle{
		Reader: p.HeadReader,
		Held: func(h park.Handler) (head, body []byte, ok bool) {
			if x, ok := h.(*heldpoll.Poll); ok {
				return x.Head, x.Body, true
			}
			return nil, nil, false
		},
		Dropped: func(h park.Handler) { h.(*heldpoll.Poll).Forget() },
	}
}

func isFront(o proxyheader.Owner) bool {
	_, ok := o.(*proxy.Front)
	return ok
}

func isAfterHeader(o proxyheader.Owner) bool {
	_, ok := o.(*afterHeader)
	return ok
}

// leave is drain after another process has taken over: it waits for the requests in progress and the tunnels. It does not
// if that process has failed, which is the error: what has started this one has to start another.
func leave(ctx context.Context, s *Server) (by time.Time, err error) {
	s.draining.Store(true)
	t := &s.conf().Timeouts
	s.keeper.Drain() // what can't move
	s.owned.run(func(ctx context.Context) { s.accessLog.Watch(ctx, s.log) })
	if err = s.succession.Leave(time.Duration(t.TakeOver), time.Duration(t.Drain), ctx.Done()); err != nil {
		s.log.Error("nobody serves any more; this process ends, and what is in progress with it", "error", err, "hint", "start Holdfast again")
		return time.Now(), err
	}
	s.proxy.Drain()
	s.tls().drain(s.poller)
	s.proxy.Cut()
	s.log.Info("nothing is left for this process; it ends")
	return time.Now(), nil
}
