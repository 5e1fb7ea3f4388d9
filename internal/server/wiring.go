package server

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/http1"
	"holdfast/internal/park"
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

func (s *Server) newProxy() (*proxy.Proxy, error) {
	c := s.conf()
	routing := newRouting(c, s.cache, s.newInjection(), s.log)
	routing.secure = s.secure
	app, sites, err := routing.sites()
	if err != nil {
		return nil, err
	}
	return proxy.New(s.poller, proxy.Options{
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
		ExternalHTTPS: c.External.Scheme == "https", ExternalPort: uint16(c.External.Port), HTTPSPort: httpsPort(c), HSTS: s.tls.strictTransport(), Challenge: s.tls.challenge(), ServerAddr: addrPort(s.addr),
		Trusted: s.trusted, Cache: s.cache.source(), Held: s.newHeld(), Push: newPushed(s), Sessions: s.sessions(), Local: s.keeper, Access: s.accessLog, Log: s.log,
	}), nil
}

// sessions returns the keeper if push.logout.cookies is set; otherwise nil.
func (s *Server) sessions() proxy.Sessions {
	if len(s.conf().Push.Logout.Cookies) == 0 {
		return nil
	}
	return s.keeper
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
		s.authorize = appcall.NewAuthorizer(appcall.AuthorizerOptions{
			Target: s.target(s.appEndpoint(c.Push.Authorize)), Timeout: time.Duration(c.Push.AuthorizeTimeout),
			Within: channel.Within, MaxConns: c.Push.AuthorizeInFlight,
		})
		s.owned.onStop(func(time.Time) { s.authorize.Close() })
		o.Asking = c.Push.AuthorizeInFlight
		o.Authorizer = s.authorize
	}
	if c.Push.Message != "" {
		s.forward = s.newForwarder()
		s.owned.onStop(func(time.Time) { s.forward.Close() })
		o.InFlight = c.Push.MessageInFlight
		o.Message = s.forward.Post
	}
	return upgrade.New(o)
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

// newForwarder returns the forwarder of client messages.
func (s *Server) newForwarder() *appcall.MessageForwarder {
	c := s.conf()
	key := c.Events.Key
	if key == "" {
		key = c.Hooks.Token
	}
	return appcall.NewMessageForwarder(appcall.MessageForwarderOptions{
		Target: s.target(s.appEndpoint(c.Push.Message)), Key: key, Timeout: time.Duration(c.Push.MessageTimeout),
		MaxConns: c.Push.MessageInFlight, MaxReply: int(c.Push.MaxReply),
	})
}

// target returns a path at an upstream, followed by the app's other upstreams if it is the app's first one.
func (s *Server) target(first config.Upstream, path string) appcall.Target {
	t := appcall.Target{Endpoints: []appcall.Endpoint{s.endpoint(first)}, Host: first.Host, Path: path}
	own := s.ownAddr()
	t.Used = len(s.conf().Sites) > 0 && first.Network == own.Network() && first.Address == own.String() // by which the site is found
	servers := s.conf().PushSite().Servers(s.conf().UpstreamPool)
	if len(servers) == 0 || first != servers[0].URL {
		return t
	}
	for _, other := range servers[1:] {
		t.Endpoints = append(t.Endpoints, s.endpoint(other.URL))
	}
	return t
}

func (s *Server) endpoint(u config.Upstream) appcall.Endpoint {
	return appcall.Endpoint{Network: u.Network, Address: u.Address, Secure: s.secure.dialer(u)}
}

// appEndpoint returns the upstream for a path that the configuration names, and the path there, as its route has it.
func (s *Server) appEndpoint(named string) (who config.Upstream, path string) {
	c, site := s.conf(), s.conf().PushSite()
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
		return config.Upstream{Network: s.ownAddr().Network(), Address: s.ownAddr().String(), Host: host}, named
	}
	return who, path
}

// trusted reports whether a peer's forwarding headers are trusted. A peer on a unix socket has no address: the socket's
// permissions decide who can connect.
func (s *Server) trusted(a netip.Addr) bool {
	if !a.IsValid() {
		return s.conf().Listen.Unix() || s.own != nil
	}
	for _, p := range s.conf().TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
