// Package balance keeps the upstreams: which of a route's is asked next, which are down, where host names lead, and the
// idle connections to each.
//
// Choosing looks at the session first (sticky), then at who is up and has the fewest requests. An upstream is down after
// failures in a row, for a while, and as long as its health check fails.
package balance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"holdfast/internal/site"
)

var errAllTried = errors.New("no address of the host name was reached")

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

// Server is an upstream and how it is doing. All loops share it.
type Server struct {
	Upstream
	Index int // in its Set

	only     bool                     // there is nobody else to ask
	site     *site.Site               // of the scripts, if it speaks FastCGI; nil: HTTP
	resolved atomic.Pointer[[]string] // each IP:port of a host name; set by Resolve
	reached  atomic.Int32             // index in resolved of the one that was reached last
	active   atomic.Int64             // exchanges and tunnels that have it

	failures  atomic.Int32 // in a row
	downTo    atomic.Int64 // not asked before, in Unix nanoseconds
	unhealthy atomic.Bool  // the health check says so

	notices notices
}

// DialAddress returns the address to connect to and its number. A host name may have several: tried has a bit for each
// number that was tried, and the one that was reached last comes first. It fails while a name is not resolved, and when
// all were tried.
func (s *Server) DialAddress(tried uint64) (address string, number int, err error) {
	list := []string{s.Address}
	if s.named() {
		p := s.resolved.Load()
		if p == nil {
			return "", 0, fmt.Errorf("host name %s is not resolved", s.Address)
		}
		list = *p
	}
	first := int(s.reached.Load())
	for i := range list {
		if n := (first + i) % len(list); tried&(1<<n) == 0 {
			return list[n], n, nil
		}
	}
	return "", 0, errAllTried
}

// Reached notes that a connection to the address with that number was made.
func (s *Server) Reached(number int) {
	if int(s.reached.Load()) != number {
		s.reached.Store(int32(number))
	}
}

// take counts one more exchange, unless the server has its most.
func (s *Server) take() bool {
	if n := s.active.Add(1); s.MaxConns > 0 && n > int64(s.MaxConns) {
		s.active.Add(-1)
		return false
	}
	return true
}

// Release takes back what Choose has counted.
func (s *Server) Release() { s.active.Add(-1) }

// Active returns how many exchanges and tunnels have the server.
func (s *Server) Active() int64 { return s.active.Load() }

// Down reports whether the server is not to be asked for now.
func (s *Server) Down(now time.Time) bool {
	return s.unhealthy.Load() || s.downTo.Load() > now.UnixNano()
}

// Answered takes failures back.
func (s *Server) Answered() {
	if s.failures.Load() != 0 {
		s.failures.Store(0)
	}
}

// Options of a Set.
type Options struct {
	MaxFails int // failures in a row after which an upstream is not asked for FailTime; 0: never
	FailTime time.Duration
	Sticky   string // cookie by which a client stays with an upstream; empty: none

	CheckPath   string // asked of every upstream by Check; empty: never
	CheckEvery  time.Duration
	ConnectTime time.Duration // of a check

	// Lookup resolves host names; nil: as the system does.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	Log *slog.Logger
}

// Set is all upstreams, at most 64.
type Set struct {
	o       Options
	servers []*Server
	turn    atomic.Uint32 // of the servers that have equally few active
}

// NewSet returns a set without upstreams.
func NewSet(o Options) *Set { return &Set{o: o} }

// Servers returns all of the set, by their Index.
func (s *Set) Servers() []*Server { return s.servers }

// Failed counts a failure before an answer. A server that is the only one is never marked down: there
// is nobody else to ask.
func (s *Set) Failed(server *Server, now time.Time) {
	if n := server.failures.Add(1); server.only || s.o.MaxFails <= 0 || int(n) < s.o.MaxFails {
		return
	}
	server.failures.Store(0)
	server.downTo.Store(now.Add(s.o.FailTime).UnixNano())
	s.o.Log.Warn("upstream marked down", "upstream", server.String(), "failures", s.o.MaxFails, "retry_in", s.o.FailTime)
}

// Failing reports whether the last requests to a server have failed that is the only one. It is asked all the same.
func (s *Set) Failing(server *Server) bool {
	return server.only && int(server.failures.Load()) >= max(s.o.MaxFails, 1)
}

// Stats are counts of one upstream, for metrics.
type Stats struct {
	Name    string
	Active  int64            // requests and tunnels that it has
	Down    bool             // it is not asked for now, or is the only one and fails
	Notices map[string]int64 // what it does that is put up with, by kind
}

// Stats returns those of all upstreams.
func (s *Set) Stats(now time.Time) []Stats {
	list := make([]Stats, 0, len(s.servers))
	for _, u := range s.servers {
		list = append(list, Stats{Name: u.String(), Active: u.Active(), Down: u.Down(now) || s.Failing(u), Notices: u.notices.counts()})
	}
	return list
}

// Group is the upstreams of a route.
type Group struct {
	set   *Set
	bits  uint64  // one for the Index of each
	First *Server // nil without any
}

// Add makes a group. Its upstreams are other servers than those of all other groups. With a folder of scripts they speak
// FastCGI.
func (s *Set) Add(list []Upstream, folder *site.Site) *Group {
	g := &Group{set: s}
	for _, u := range list {
		server := &Server{Upstream: u, Index: len(s.servers), only: len(list) == 1, site: folder}
		if g.First == nil {
			g.First = server
		}
		g.bits |= 1 << server.Index
		s.servers = append(s.servers, server)
	}
	return g
}

// Has reports whether the server with that Index is of the group.
func (g *Group) Has(index int) bool { return g.bits&(1<<index) != 0 }

func (g *Group) hasMultiple() bool { return bits.OnesCount64(g.bits) > 1 }

// Choose returns the server to ask, counted until its Release, that is not in tried (a bit for each Index): the one that
// the client sticks to if that is up, or else of those that are up the one with the fewest active, a backup only if
// there is no other. full reports that there is one, but all have their most.
func (g *Group) Choose(tried uint64, sticky int, now time.Time) (s *Server, full bool) {
	all := g.set.servers
	if sticky >= 0 {
		if s := all[sticky]; tried&(1<<sticky) == 0 && !s.Down(now) {
			if s.take() {
				return s, false
			}
			return nil, true // it alone has the session
		}
	}
	start := int(g.set.turn.Add(1))
	for _, want := range [...]struct{ backup, down bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		if want.down && tried != 0 {
			break
		}
		var best *Server
		found := false
		for i := range all {
			s := all[(start+i)%len(all)]
			if (tried|^g.bits)&(1<<s.Index) != 0 || s.Backup != want.backup || s.Down(now) != want.down {
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
