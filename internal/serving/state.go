package serving

import (
	"log/slog"
	"net/netip"
	"runtime"

	"holdfast/internal/admit"
	"holdfast/internal/balance"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/route"
)

// State is what is made of Options. It is not changed, but for what becomes of its upstreams.
type State struct {
	Options
	Servers *balance.Set
	Gate    *admit.Gate
	Sites   *route.Sites
	Reader  request.Reader
	Idle    balance.Limits // of a loop, for each upstream
}

// New returns the state of a proxy on the poller's loops. old is the one in use, of which upstreams that stay keep their
// state and connections; nil: there is none.
func New(p *park.Poller, o Options, old *State) (*State, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.BufferTotal == 0 {
		o.BufferTotal = 16 << 20
	}
	if o.Trusted == nil {
		o.Trusted = func(netip.Addr) bool { return false }
	}
	loops := len(p.Loops())
	x := &State{
		Options: o, Idle: balance.Limits{Conns: (o.Pool + loops - 1) / loops, Keep: o.PoolIdle},
		Reader: request.Reader{Trusted: o.Trusted, HTTPS: o.ExternalHTTPS, Port: o.ExternalPort, Listen: o.ServerAddr.Port()},
	}
	x.Servers = balance.NewSet(balance.Options{
		MaxFails: o.MaxFails, FailTime: o.FailTime, Sticky: o.Sticky, Loops: loops,
		CheckPath: o.CheckPath, CheckEvery: o.CheckEvery, ConnectTime: o.ConnectTime, Lookup: o.Lookup, Log: o.Log,
	})
	if old != nil {
		x.Servers.Inherit(old.Servers)
	}
	list := o.Sites
	if len(list) == 0 {
		list = []route.SiteOptions{{Default: true, Push: true, Main: route.Options{Match: "/", Site: o.Site, Publishes: true}, Routes: o.Routes}}
	}
	var err error
	if x.Sites, err = route.NewSites(x.Servers, route.Options{Upstreams: o.Upstreams, Site: o.Site, Settings: &x.Settings}, list); err != nil {
		return nil, err
	}
	gate := admit.Options{Sites: x.Sites, RedirectHTTPS: o.RedirectHTTPS, HTTPSPort: o.HTTPSPort, Logins: runtime.GOMAXPROCS(0) / 2}
	if o.Local != nil {
		gate.Owns = o.Local.Owns
	}
	if old != nil {
		x.Gate = old.Gate.With(gate)
	} else {
		x.Gate = admit.New(p, gate)
	}
	return x, nil
}
