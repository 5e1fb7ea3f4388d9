package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/park"
	"holdfast/internal/tlsconn"
)

// secureUpstreams is how the upstreams with https are reached. A nil one has none.
type secureUpstreams struct {
	client *tlsconn.Client
	made   map[secureUpstream]*tlsconn.Upstream
	first  map[config.Upstream]*tlsconn.Upstream // of the levels with the same upstream, the first
}

// secureUpstream is an upstream with the settings of its level.
type secureUpstream struct {
	url      config.Upstream
	settings config.UpstreamTLS
}

// newSecureUpstreams reads the files that upstream_tls names at all levels.
func newSecureUpstreams(c *config.Config, p *park.Poller, log *slog.Logger) (x *secureUpstreams, err error) {
	add := func(b *config.Block, at string, list []config.Server) {
		for _, s := range list {
			k := secureUpstream{s.URL, b.Secure}
			if !s.URL.TLS || err != nil || x != nil && x.made[k] != nil {
				continue
			}
			t, problem := k.config()
			if problem != nil {
				key := "upstream_tls"
				if at != "" {
					key = at + "." + key
				}
				err = fmt.Errorf("%s.%w", key, problem)
				return
			}
			if x == nil {
				x = &secureUpstreams{tlsconn.NewClient(p, time.Duration(c.Timeouts.Connect), log), map[secureUpstream]*tlsconn.Upstream{}, map[config.Upstream]*tlsconn.Upstream{}}
			}
			x.made[k] = x.client.Upstream(t)
			if x.first[s.URL] == nil {
				x.first[s.URL] = x.made[k]
			}
		}
	}
	if c.UsesTop() {
		add(&c.Block, "", c.Servers())
	}
	c.EachLevel(func(b *config.Block, at ...string) { add(b, at[0], b.OwnServers(c.UpstreamPool)) })
	return x, err
}

// config returns the configuration of connections to the upstream. Its errors begin with a key.
func (k *secureUpstream) config() (*tls.Config, error) {
	s := &k.settings
	f := tlsconn.Files{Verify: s.Verify, Name: s.Name, CAFile: s.CAFile, Cert: s.Cert, Key: s.Key}
	if f.Name == "" {
		f.Name, _, _ = net.SplitHostPort(k.url.Address) // which config has split before
	}
	return f.Load()
}

// of returns how an upstream of a level is reached; nil: without TLS.
func (x *secureUpstreams) of(u config.Upstream, b *config.Block) *tlsconn.Upstream {
	if x == nil {
		return nil
	}
	return x.made[secureUpstream{u, b.Secure}]
}

// dialer returns what makes the handshake on a connection to an upstream; nil: none is made.
func (x *secureUpstreams) dialer(u config.Upstream) func(context.Context, net.Conn) (net.Conn, error) {
	if x == nil || x.first[u] == nil {
		return nil
	}
	return x.first[u].Secure
}
