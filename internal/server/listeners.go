package server

import (
	"net"
	"strings"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/listening"
	"holdfast/internal/succession"
)

// openListeners opens what listen and hooks.listen name. The listeners of clients accept once the plan is used.
func openListeners(s *Server, c *config.Config) (*listening.Plan, error) {
	plan, err := s.listeners.Prepare(c)
	if err != nil {
		return nil, err
	}
	s.owned.onStop(func(time.Time) { plan.Cancel(); s.listeners.Clean() })
	l := c.Hooks.Listen
	ln, err := s.listeners.Listen("hooks.listen", l.Network, l.Address)
	if err != nil {
		return nil, err
	}
	s.hooksListener = succession.NewListener(listening.Name(l.Network, l.Address), ln)
	s.owned.onStop(func(time.Time) { s.hooksListener.Close() }) // who serves it may have closed it before
	return plan, nil
}

// useListeners has the listeners of a plan accept for the proxy.
func useListeners(s *Server, plan *listening.Plan, t *tlsState) {
	if plan.Use(s.proxy.Accept, t.accept(s.proxy.Accept)) {
		s.log.Info("listeners changed", "listen", strings.Join(s.Addrs(), " "))
	}
}

// Addr returns the first address that clients connect to.
func (s *Server) Addr() net.Addr { return s.state.Load().at.First }

// HooksAddr returns the address of the API listener.
func (s *Server) HooksAddr() net.Addr { return s.hooksListener.Addr() }

// Addrs returns all addresses that clients connect to.
func (s *Server) Addrs() (list []string) {
	for _, a := range s.listeners.Addrs() {
		list = append(list, a.String())
	}
	return list
}
