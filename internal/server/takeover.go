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

// Gone reports whether another process has taken over.
func (s *Server) Gone() bool { return s.succession.Gone() }

// join says what moves to another process, and takes over what the one before has.
func join(s *Server) error {
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
		Alone: func(f func()) {
			s.reloads.mu.Lock()
			defer s.reloads.mu.Unlock()
			f()
		},
	})
	return s.succession.Arrive()
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

// leave is drain after another process has taken over: it waits for the requests in progress and the tunnels.
func leave(ctx context.Context, s *Server) (by time.Time) {
	s.draining.Store(true)
	t := &s.conf().Timeouts
	s.keeper.Drain() // what can't move
	s.owned.run(func(ctx context.Context) { followLog(ctx, s) })
	s.succession.Leave(time.Duration(t.TakeOver), time.Duration(t.Drain), ctx.Done())
	s.proxy.Drain()
	s.tls().drain(s.poller)
	s.proxy.Cut()
	s.log.Info("nothing is left for this process; it ends")
	return time.Now()
}

// followTime is between two looks at where the access log is.
const followTime = time.Second

// followLog has the access log of a process that was replaced follow its name: signals go to the one that has taken over.
func followLog(ctx context.Context, s *Server) {
	tick := time.NewTicker(followTime)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := s.accessLog.Follow()
			if err != nil && !failed {
				s.log.Error("access log not reopened; still writing the old file", "error", err)
			}
			failed = err != nil
		}
	}
}
