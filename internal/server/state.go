package server

import (
	"time"

	"holdfast/hooks"
	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/listening"
	"holdfast/internal/page"
	"holdfast/internal/route"
	"holdfast/internal/subscribe"
	"holdfast/internal/token"
)

// state is a configuration and what is made of it before anything is changed. A reload makes another one. It is not
// changed itself once it is in use.
type state struct {
	config   *config.Config
	channels *channel.Rules
	verifier *token.Verifier        // nil: no tokens are taken
	gates    map[string]*route.Gate // limits of requests, see routing.gate
	at       listening.Addrs
	tls      *tlsState // nil: no listener has had TLS
	secure   *secureUpstreams
	calls
}

// newState returns an error if c names files that are not fit, or opens the API to other machines without a token.
func newState(c *config.Config) (x *state, err error) {
	if c.Hooks.Listen.Network == "tcp" {
		if err := hooks.CheckBind(c.Hooks.Listen.Address, c.Hooks.Token); err != nil {
			return nil, err
		}
	}
	x = &state{config: c, channels: c.Rules()}
	x.verifier, err = newVerifier(&c.Push.JWT)
	return x, err
}

// conf returns the configuration that is in use.
func (s *Server) conf() *config.Config { return s.state.Load().config }

// tls returns what the listeners with TLS share.
func (s *Server) tls() *tlsState { return s.state.Load().tls }

// secureOf returns how the upstreams with https are reached.
func secureOf(s *Server) *secureUpstreams { return s.state.Load().secure }

// channels returns its rules of channels.
func (s *Server) channels() *channel.Rules { return s.state.Load().channels }

// subscribing returns the settings of held connections, and of requests for them.
func (x *state) subscribing() subscribe.Settings {
	p := &x.config.Push
	set := subscribe.Settings{
		Rules: x.channels, Origins: p.Origins, MaxChannels: p.MaxChannels, MaxConnections: p.MaxConnections,
		Heartbeat: time.Duration(p.Heartbeat), Wait: time.Duration(p.Wait), MaxWait: time.Duration(p.MaxWait),
		MaxMessage: int(p.MaxMessage), MessageRate: p.MessageRate, ReceiveTime: time.Duration(p.ReceiveTimeout),
		SendQueue: int(p.SendQueue), SendQueueTotal: int64(p.SendQueueTotal), AuthorizeGrace: time.Duration(p.AuthorizeGrace),
	}
	if x.verifier != nil {
		set.Tokens, set.TokenCookie = x.verifier, p.JWT.Cookie
	}
	return set
}

// api returns the settings of the API.
func (x *state) api() hooks.Live {
	h := &x.config.Hooks
	return hooks.Live{Token: h.Token, Hosts: h.Hosts, Page: page.Mode(h.Page), Channels: x.channels}
}

// secrets returns the texts of a configuration that the page for people must never show.
func secrets(c *config.Config) []string { return []string{c.Hooks.Token, c.Events.Key, c.Push.JWT.Key} }
