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

// secureUpstreams is how the upstreams with https are reached. A nil one has none.
type secureUpstreams struct {
	client *tlsconn.Client // nil: no upstream has TLS
	files  *certs.Upstreams
	made   map[secureUpstream]*tlsconn.Upstream
	first  map[config.Upstream]*tlsconn.Upstream // of the levels with the same upstream, the first
}

// secureUpstream is an upstream with the settings of its level.
type secureUpstream struct {
	url      config.Upstream
	settings config.UpstreamTLS
}

// newSecureUpstreams returns one without upstreams, so far.
func newSecureUpstreams(log *slog.Logger) *secureUpstreams {
	return &secureUpstreams{files: certs.NewUpstreams(log), made: map[secureUpstream]*tlsconn.Upstream{}, first: map[config.Upstream]*tlsconn.Upstream{}}
}

// open reads the files that upstream_tls names at all levels.
func (x *secureUpstreams) open(c *config.Config, p *park.Poller, log *slog.Logger) (err error) {
	add := func(b *config.Block, at string, list []config.Server) {
		for _, s := range list {
			k := secureUpstream{s.URL, b.Secure}
			if !s.URL.TLS || err != nil || x.made[k] != nil {
				continue
			}
			if x.client == nil {
				x.client = tlsconn.NewClient(p, time.Duration(c.Timeouts.Connect), log)
			}
			if x.made[k], err = x.make(k); err != nil {
				key := "upstream_tls"
				if at != "" {
					key = at + "." + key
				}
				err = fmt.Errorf("%s.%w", key, err)
				return
			}
			if x.first[s.URL] == nil {
				x.first[s.URL] = x.made[k]
			}
		}
	}
	if c.UsesTop() {
		add(&c.Block, "", c.Servers())
	}
	c.EachLevel(func(b *config.Block, at ...string) { add(b, at[0], b.OwnServers(c.UpstreamPool)) })
	return err
}

// make returns how an upstream is reached, as its files say, also later ones. Its errors begin with a key.
func (x *secureUpstreams) make(k secureUpstream) (*tlsconn.Upstream, error) {
	s := &k.settings
	t := &tls.Config{ServerName: s.Name, InsecureSkipVerify: !s.Verify}
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(k.url.Address) // which config has split before
	}
	u := x.client.Upstream(t)
	return u, x.files.Add(certs.UpstreamFiles{CA: s.CAFile, Pair: certs.Pair{Cert: s.Cert, Key: s.Key}}, func(roots *x509.CertPool, cert *tls.Certificate) {
		t := t.Clone()
		t.RootCAs = roots
		if cert != nil {
			t.Certificates = []tls.Certificate{*cert}
		}
		u.Set(t)
	})
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
