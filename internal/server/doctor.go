package server

import (
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/inspect"
)

// settingsOf returns what holdfast doctor needs to know of a process.
func settingsOf(s *Server) inspect.Settings {
	c := s.conf()
	v := inspect.Settings{
		Version: Version(), Hooks: c.Hooks.Listen.String(), PushPaths: c.Push.AllPaths(),
		Heartbeat: inspect.SecondsOf(time.Duration(c.Push.Heartbeat)), PollWait: inspect.SecondsOf(time.Duration(c.Push.Wait)),
		AuthorizePath: c.Push.Authorize, AuthorizeTimeout: inspect.SecondsOf(time.Duration(c.Push.AuthorizeTimeout)),
		SessionCookies: c.Push.Logout.Cookies,
		FileLimit:      fileLimit(), MaxConnections: maxConns(c), Connections: s.poller.Stats().Clients,
	}
	for _, p := range c.TrustedProxies {
		v.TrustedProxies = append(v.TrustedProxies, p.String())
	}
	for _, r := range c.Channels {
		if r.Access == channel.Authorize {
			v.Rules = append(v.Rules, inspect.Rule{Match: r.Match})
		}
	}
	return v
}
