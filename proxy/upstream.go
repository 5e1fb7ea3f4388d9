package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Upstream is the app, or one of several that can answer the same requests.
type Upstream struct {
	Network  string // "tcp" or "unix"
	Address  string // host:port, or the socket's path
	Host     string // for requests that bring no Host of their own
	Route    string // how the app ends the values of Options.Sticky for itself: Tomcat's jvmRoute
	MaxConns int    // requests, and tunnels, that it is given at once; more wait; 0: any number
	Backup   bool   // asked only when none of the others can be
}

// String names the upstream in the log.
func (u *Upstream) String() string {
	if u.Network == "unix" {
		return "unix:" + u.Address
	}
	return u.Address
}

// named reports whether the upstream is a host name, which Resolve must look up.
func (u *Upstream) named() bool {
	if u.Network == "unix" {
		return false
	}
	_, err := netip.ParseAddrPort(u.Address)
	return err != nil
}

// server is an upstream and how it is doing. All loops share it.
type server struct {
	Upstream
	index    int
	alone    bool // there is nobody else to ask
	fastcgi  bool
	resolved atomic.Pointer[string] // IP:port of a host name; set by Resolve
	active   atomic.Int64           // exchanges and tunnels that have it

	failures atomic.Int32 // in a row
	downTo   atomic.Int64 // not asked before, in Unix nanoseconds
	noticed  noticed
	sick     atomic.Bool // the health check says so
}

// dialAddress returns the address to connect to, or an error while a name is not resolved.
func (s *server) dialAddress() (string, error) {
	if !s.named() {
		return s.Address, nil
	}
	if a := s.resolved.Load(); a != nil {
		return *a, nil
	}
	return "", fmt.Errorf("host name %s is not resolved", s.Address)
}

// take counts one more exchange, unless the server has its most.
func (s *server) take() bool {
	if n := s.active.Add(1); s.MaxConns > 0 && n > int64(s.MaxConns) {
		s.active.Add(-1)
		return false
	}
	return true
}

// down reports whether the server is not to be asked for now.
func (s *server) down(now time.Time) bool { return s.sick.Load() || s.downTo.Load() > now.UnixNano() }

// failed counts a failure before an answer. A server that is the only one is never marked down: there
// is nobody else to ask.
func (p *Proxy) failed(s *server, now time.Time) {
	if s.alone || p.o.MaxFails <= 0 || int(s.failures.Add(1)) < p.o.MaxFails {
		return
	}
	s.failures.Store(0)
	s.downTo.Store(now.Add(p.o.FailTime).UnixNano())
	p.o.Log.Warn("upstream is not asked for a while", "upstream", s.String(), "failures", p.o.MaxFails, "retry_in", p.o.FailTime)
}

// answered takes failures back.
func (s *server) answered() {
	if s.failures.Load() != 0 {
		s.failures.Store(0)
	}
}

// choose returns the server of a route to ask, taken, that is not in tried (a bit each): the one that the client
// sticks to if that is up, or else of those that are up the one with the fewest active, a backup only if
// there is no other. full reports that there is one, but all have their most.
func (p *Proxy) choose(r *route, tried uint64, sticky int, now time.Time) (s *server, full bool) {
	if sticky >= 0 {
		if s := p.servers[sticky]; tried&(1<<sticky) == 0 && !s.down(now) {
			if s.take() {
				return s, false
			}
			return nil, true // it alone has the session
		}
	}
	start := int(p.turn.Add(1))
	for _, want := range [...]struct{ backup, down bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		if want.down && tried != 0 {
			break
		}
		var best *server
		found := false
		for i := range p.servers {
			s := p.servers[(start+i)%len(p.servers)]
			if (tried|^r.servers)&(1<<s.index) != 0 || s.Backup != want.backup || s.down(now) != want.down {
				continue
			}
			found = true
			if n := s.active.Load(); (s.MaxConns == 0 || n < int64(s.MaxConns)) && (best == nil || n < best.active.Load()) {
				best = s
			}
		}
		if best != nil && best.take() {
			return best, false
		}
		if found {
			return nil, true
		}
		// Nobody that is up: those that are down are tried all the same, once, as an error is certain
		// otherwise.
	}
	return nil, false
}

// refreshNames is how often a host name is looked up again.
const refreshNames = 30 * time.Second

// Resolve keeps the addresses of upstreams with a host name fresh until ctx ends. Looking up may block,
// so it is not for a loop.
func (p *Proxy) Resolve(ctx context.Context) error {
	for {
		wait := refreshNames
		for _, s := range p.servers {
			if !s.named() {
				continue
			}
			if err := s.resolve(ctx); err != nil && ctx.Err() == nil {
				p.o.Log.Error("upstream's host name not resolved; keeping what was known", "upstream", s.String(), "error", err)
				wait = time.Second
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (s *server) resolve(ctx context.Context) error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	pick := addrs[0].Unmap()
	for _, a := range addrs { // localhost may be both; most apps listen on IPv4
		if a.Unmap().Is4() {
			pick = a.Unmap()
			break
		}
	}
	address := net.JoinHostPort(pick.String(), port)
	s.resolved.Store(&address)
	return nil
}
