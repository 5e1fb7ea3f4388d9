package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"time"

	"holdfast/internal/certs"
	"holdfast/internal/config"
	"holdfast/internal/park"
	"holdfast/internal/tlsconn"
)

// secureUpstreams is how the upstreams with https of a configuration are reached. It is not changed once it is made.
type secureUpstreams struct {
	client *tlsconn.Client // nil: no upstream has had TLS
	files  *certs.Upstreams
	made   map[secureUpstream]*madeUpstream
	first  map[config.Upstream]*tlsconn.Upstream // of the levels with the same upstream, the first
}

// madeUpstream is how one is reached, and what ends its look at its files.
type madeUpstream struct {
	*tlsconn.Upstream
	forget func()
}

// secureUpstream is an upstream with the settings of its level.
type secureUpstream struct {
	url      config.Upstream
	settings config.UpstreamTLS
}

// newSecureUpstreams returns one without upstreams.
func newSecureUpstreams(log *slog.Logger) *secureUpstreams {
	return &secureUpstreams{files: certs.NewUpstreams(log)}
}

// next returns those of a configuration, and reads the files that upstream_tls names at all levels. Upstreams that x has with
// the same settings are the same. Either x.without or next.without follows, when one of the two is out of use.
func (x *secureUpstreams) next(c *config.Config, p *park.Poller, log *slog.Logger) (next *secureUpstreams, err error) {
	next = &secureUpstreams{x.client, x.files, map[secureUpstream]*madeUpstream{}, map[config.Upstream]*tlsconn.Upstream{}}
	add := func(b *config.Block, at string, list []config.Server) {
		for _, s := range list {
			k := secureUpstream{s.URL, b.Secure}
			if !s.URL.TLS || err != nil || next.made[k] != nil {
				continue
			}
			if next.client == nil {
				next.client = tlsconn.NewClient(p, time.Duration(c.Timeouts.Connect), log)
			}
			made := x.made[k]
			if made == nil {
				if made, err = next.make(k); err != nil {
					key := "upstream_tls"
					if at != "" {
						key = at + "." + key
					}
					err = fmt.Errorf("%s.%w", key, err)
					return
				}
			}
			next.made[k] = made
			if next.first[s.URL] == nil {
				next.first[s.URL] = made.Upstream
			}
		}
	}
	if c.UsesTop() {
		add(&c.Block, "", c.Servers())
	}
	c.EachLevel(func(b *config.Block, at ...string) { add(b, at[0], b.OwnServers(c.UpstreamPool)) })
	if err != nil {
		next.without(x)
	}
	return next, err
}

// without ends the look at the files of upstreams that only x has, and not other. Requests in progress go on with them.
func (x *secureUpstreams) without(other *secureUpstreams) {
	for k, made := range x.made {
		if other.made[k] != made {
			made.forget()
		}
	}
}

// make returns how an upstream is reached, as its files say, also later ones. Its errors begin with a key.
func (x *secureUpstreams) make(k secureUpstream) (*madeUpstream, error) {
	s := &k.settings
	t := &tls.Config{ServerName: s.Name, InsecureSkipVerify: !s.Verify}
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(k.url.Address) // which config has split before
	}
	u := x.client.Upstream(t)
	forget, err := x.files.Add(certs.UpstreamFiles{CA: s.CAFile, Pair: certs.Pair{Cert: s.Cert, Key: s.Key}}, func(roots *x509.CertPool, cert *tls.Certificate) {
		t := t.Clone()
		t.RootCAs = roots
		if cert != nil {
			t.Certificates = []tls.Certificate{*cert}
		}
		u.Set(t)
	})
	return &madeUpstream{u, forget}, err
}

// of returns how an upstream of a level is reached; nil: without TLS.
func (x *secureUpstreams) of(u config.Upstream, b *config.Block) *tlsconn.Upstream {
	if x == nil {
		return nil
	}
	if made := x.made[secureUpstream{u, b.Secure}]; made != nil {
		return made.Upstream
	}
	return nil
}

// dialer returns what makes the handshake on a connection to an upstream; nil: none is made.
func (x *secureUpstreams) dialer(u config.Upstream) func(context.Context, net.Conn) (net.Conn, error) {
	if x == nil || x.first[u] == nil {
		return nil
	}
	return x.first[u].Secure
}
