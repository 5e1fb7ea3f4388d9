package server

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/route"
	"holdfast/proxy"
	"holdfast/upgrade"
)

func (x *secureUpstreams) list(b *config.Block, list []config.Server) []proxy.Upstream {
	var upstreams []proxy.Upstream
	for _, u := range list {
		upstreams = append(upstreams, proxy.Upstream{
			Network: u.URL.Network, Address: u.URL.Address, Host: u.URL.Host,
			MaxConns: u.MaxConns, Backup: u.Backup, Route: u.Route, TLS: x.of(u.URL, b),
		})
	}
	return upstreams
}

// proxying returns the options of the proxy for a state. gates are those of the one before; nil: there is none.
func (s *Server) proxying(next *state, gates map[string]*route.Gate) (o proxy.Options, made map[string]*route.Gate, err error) {
	c := next.config
	routing := newRouting(c, s.cache, s.newInjection(), s.answers)
	routing.secure, routing.before = next.secure, gates
	app, sites, err := routing.sites()
	if err != nil {
		return o, nil, err
	}
	return proxy.Options{
		Upstreams: app.Upstreams, Site: app.Site, Sites: sites,
		Pool: c.UpstreamPool.Idle, PoolIdle: time.Duration(c.UpstreamPool.IdleTimeout),
		Queue: c.UpstreamPool.Queue, QueueTime: time.Duration(c.UpstreamPool.QueueTimeout),
		NextError: strings.HasPrefix(c.UpstreamPool.NextUpstream, "error"), NextTimeout: strings.HasSuffix(c.UpstreamPool.NextUpstream, "timeout"),
		MaxFails: c.UpstreamPool.MaxFails, FailTime: time.Duration(c.UpstreamPool.FailTimeout),
		Sticky: c.UpstreamPool.Sticky, CheckPath: c.UpstreamPool.Check, CheckEvery: time.Duration(c.UpstreamPool.CheckEvery),
		HeaderTime: time.Duration(c.Timeouts.Header), IdleTime: time.Duration(c.Timeouts.Idle),
		HeaderBytes: int(c.Limits.Header), HeaderFields: c.Limits.Fields,
		BufferTotal: int64(c.Buffers.Total), Folder: c.Buffers.TempDir(), FileBytes: int64(c.Buffers.File), FilesTotal: int64(c.Buffers.Files), Encoders: int64(c.Buffers.Compressors),
		ASCIITargets: c.Limits.ASCII, ProxyProtocol: c.ProxyProtocol, RedirectHTTPS: c.RedirectHTTPS,
		ExternalHTTPS: c.External.Scheme == "https", ExternalPort: uint16(c.External.Port), HTTPSPort: httpsPort(c), HSTS: next.tls.strictTransport(c), Challenge: next.tls.challenge(), ServerAddr: addrPort(next.at.First),
		Trusted: next.trusted, Cache: s.cache.source(), Held: s.cache.polls(), Push: s.pushed, Sessions: s.sessions(), Local: s.keeper, Access: s.accessLog, Log: s.log,
	}, routing.gates, nil
}

// sessions returns the keeper if push.logout.cookies is set; otherwise nil.
func (s *Server) sessions() proxy.Sessions {
	if len(s.conf().Push.Logout.Cookies) == 0 {
		return nil
	}
	return s.succession.Sessions(s.keeper)
}

// addrPort is the zero AddrPort for a unix socket.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}

// readAhead is what may be kept of a client beside a message: headers of frames, and the rest of a reading. It comes on
// top of push.receive_total, in which a message of push.max_message fits then.
const readAhead = 64 << 10

func (s *Server) newKeeper() *upgrade.Keeper {
	c := s.conf()
	o := upgrade.Options{
		Settings: s.state.Load().subscribing(), Paths: c.Push.AllPaths(),
		Compress: int(c.Push.Compress), Live: c.Push.Live,
		InboundTotal: int64(c.Push.ReceiveTotal) + readAhead, MaxPerUser: c.Push.MaxPerUser,
		AuthorizeCache: time.Duration(c.Push.AuthorizeCache),
		LogoutCookies:  c.Push.Logout.Cookies, LogoutPaths: http1.NewPathSet(c.Push.Logout.Paths), OwnPaths: ownPaths(&c.Push), Inspect: &s.doctor,
		Access: s.accessLog, Observer: s.newObserver(), Disconnected: s.cache.onDisconnect(), Hub: s.hub, Poller: s.poller, Log: s.log,
		Resume: func(conn *park.Conn, rest []byte, more bool) { s.proxy.Resume(conn, rest, more) },
	}
	if c.Push.Authorize != "" {
		o.Asking = c.Push.AuthorizeInFlight
		o.Authorizer = authorizer{s}
	}
	if c.Push.Message != "" {
		o.InFlight = c.Push.MessageInFlight
		o.Message = func(q auth.Request, m appcall.ClientMessage) (appcall.Reply, error) {
			return s.state.Load().forward.Post(q, m)
		}
	}
	return upgrade.New(o)
}

// authorizer sends authorization requests as the configuration says that is in use.
type authorizer struct{ s *Server }

// Authorize implements auth.Authorizer.
func (a authorizer) Authorize(q auth.Request) (auth.Result, error) {
	return a.s.state.Load().authorize.Authorize(q)
}

// ownPaths returns the app's paths that Holdfast requests itself. Sent through its own listener, such a request looks
// like a client's.
func ownPaths(p *config.Push) (list []string) {
	for _, named := range []string{p.Authorize, p.Message} {
		if path, _, _ := strings.Cut(named, "?"); path != "" {
			list = append(list, path)
		}
	}
	return list
}

// target returns a path at an upstream, followed by the app's other upstreams if it is the app's first one.
func (x *state) target(first config.Upstream, path string) appcall.Target {
	c, own := x.config, x.at.Own
	t := appcall.Target{Endpoints: []appcall.Endpoint{x.endpoint(first)}, Host: first.Host, Path: path}
	t.Used = len(c.Sites) > 0 && first.Network == own.Network() && first.Address == own.String() // by which the site is found
	servers := c.PushSite().Servers(c.UpstreamPool)
	if len(servers) == 0 || first != servers[0].URL {
		return t
	}
	for _, other := range servers[1:] {
		t.Endpoints = append(t.Endpoints, x.endpoint(other.URL))
	}
	return t
}

func (x *state) endpoint(u config.Upstream) appcall.Endpoint {
	return appcall.Endpoint{Network: u.Network, Address: u.Address, Secure: x.secure.dialer(u)}
}

// appEndpoint returns the upstream for a path that the configuration names, and the path there, as its route has it.
func (x *state) appEndpoint(named string) (who config.Upstream, path string) {
	c := x.config
	site := c.PushSite()
	host, self := "", c.PushSites() > 1 // each client's request is for the site that the client uses
	if list := site.Servers(c.UpstreamPool); len(list) > 0 {
		who, host = list[0].URL, list[0].URL.Host
	}
	if h := c.PushHost(); h != "" {
		host = h
	}
	b, path := &site.Block, named
	if r := site.RouteOf(path); r != nil {
		b = &r.Block
		if list := r.Servers(c.UpstreamPool); len(list) > 0 {
			who = list[0].URL
		}
		if r.Prefix != "" {
			rest := strings.TrimPrefix(path, strings.TrimRight(r.Match, "/"))
			if path = strings.TrimRight(r.Prefix, "/") + rest; !strings.HasPrefix(path, "/") {
				path = "/" + path
			}
		}
	}
	// Request it like a client, as only the proxy speaks FastCGI, rewrites hosts, and knows the sites.
	if self || who.FastCGI || b.Host != "" || len(b.Sent) > 0 || b.Files() || b.Redirect != "" {
		return config.Upstream{Network: x.at.Own.Network(), Address: x.at.Own.String(), Host: host}, named
	}
	return who, path
}

// trusted reports whether a peer's forwarding headers are trusted by the configuration that is in use.
func (s *Server) trusted(a netip.Addr) bool { return s.state.Load().trusted(a) }

// trusted reports whether a peer's forwarding headers are trusted. A peer on a unix socket has no address: the socket's
// permissions decide who can connect.
func (x *state) trusted(a netip.Addr) bool {
	if !a.IsValid() {
		return x.config.Listen.Unix() || x.at.Apart
	}
	return slices.ContainsFunc(x.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}
