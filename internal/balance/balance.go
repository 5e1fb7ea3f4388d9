// Package balance has the upstreams: it chooses the next one of a route, marks failed ones down, resolves host names,
// and has the idle connections to each.
//
// The choice depends on the session first (sticky), then on the number of requests in progress. An upstream is down for
// a while after consecutive failures, and as long as its health check fails.
package balance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/internal/metric"
	"holdfast/internal/park"
	"holdfast/internal/site"
	"holdfast/internal/tlsconn"
)

var errAllTried = errors.New("no address of the host name was reached")

// Upstream is the app, or one of several that can answer the same requests.
type Upstream struct {
	Network  string // "tcp" or "unix"
	Address  string // host:port, or the socket's path
	Host     string // for requests without a Host
	Route    string // ending of the values of Options.Sticky that this upstream sets: Tomcat's jvmRoute
	MaxConns int    // requests and tunnels at once; more wait in a queue; 0: any number
	Backup   bool   // used only while all others are down

	TLS *tlsconn.Upstream // nil: plain
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

// Server is an upstream of a Set and its state. All loops share it.
type Server struct {
	Upstream
	Index int // in its Set

	only bool       // it is the only one of its group
	site *site.Site // of the scripts, if it speaks FastCGI; nil: HTTP
	*state
}

// state is what becomes of an upstream. The servers of several sets, one after the other, may share it.
type state struct {
	pools    []*Pool                  // by the index of the loop
	waits    []*metric.Durations      // the same; see Responded
	resolved atomic.Pointer[[]string] // each IP:port of a host name; set by Resolve
	reached  atomic.Int32             // index in resolved of the one that was reached last
	active   atomic.Int64             // exchanges and tunnels that have it

	failures  atomic.Int32 // in a row
	downTo    atomic.Int64 // marked down until then, in Unix nanoseconds
	unhealthy atomic.Bool  // set by the health check

	notices notices
}

// Pool returns the idle connections of a loop.
func (s *Server) Pool(l *park.Loop) *Pool { return s.pools[l.Index] }

// Is reports whether two servers are the same upstream, also if they are of two sets.
func (s *Server) Is(other *Server) bool { return s.state == other.state }

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

// Dial connects to an address of DialAddress, as park.Loop.Dial does.
func (s *Server) Dial(l *park.Loop, address string, h park.Handler) (*park.Conn, error) {
	if s.TLS != nil {
		return s.TLS.Dial(l, s.Network, address, h)
	}
	return l.Dial(s.Network, address, h)
}

// Reached notes that a connection to the address with that number was made.
func (s *Server) Reached(number int) {
	if int(s.reached.Load()) != number {
		s.reached.Store(int32(number))
	}
}

// take counts one more exchange, unless the server is at MaxConns.
func (s *Server) take() bool {
	if n := s.active.Add(1); s.MaxConns > 0 && n > int64(s.MaxConns) {
		s.active.Add(-1)
		return false
	}
	return true
}

// Release ends the count that Choose has made.
func (s *Server) Release() { s.active.Add(-1) }

// Active returns how many exchanges and tunnels use the server.
func (s *Server) Active() int64 { return s.active.Load() }

// Down reports whether the server is marked down or unhealthy.
func (s *Server) Down(now time.Time) bool {
	return s.unhealthy.Load() || s.downTo.Load() > now.UnixNano()
}

// Responded counts the time from passing a request on to the head of its response. It is for the loop's goroutine.
func (s *Server) Responded(l *park.Loop, after time.Duration) { s.waits[l.Index].Add(after) }

// Answered clears the count of failures.
func (s *Server) Answered() {
	if s.failures.Load() != 0 {
		s.failures.Store(0)
	}
}

// Options of a Set.
type Options struct {
	MaxFails int // consecutive failures after which an upstream is marked down for FailTime; 0: never
	FailTime time.Duration
	Sticky   string // cookie that ties a client to one upstream; empty: none

	CheckPath   string // path that Check requests from each upstream; empty: no checks
	CheckEvery  time.Duration
	ConnectTime time.Duration // of a check

	// Lookup resolves host names; nil: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	Loops int // that have idle connections
	Log   *slog.Logger
}

// Set has all upstreams, at most 64.
type Set struct {
	o       Options
	servers []*Server
	heirs   []*Server     // see Inherit; nil where one was found
	turn    atomic.Uint32 // for servers with equally few active requests
}

// NewSet returns a set without upstreams.
func NewSet(o Options) *Set { return &Set{o: o} }

// Servers returns all of the set, by their Index.
func (s *Set) Servers() []*Server { return s.servers }

// Failed counts a failure before a response. The only server of a group is never marked down.
func (s *Set) Failed(server *Server, now time.Time) {
	if n := server.failures.Add(1); server.only || s.o.MaxFails <= 0 || int(n) < s.o.MaxFails {
		return
	}
	server.failures.Store(0)
	server.downTo.Store(now.Add(s.o.FailTime).UnixNano())
	s.o.Log.Warn("upstream marked down", "upstream", server.String(), "failures", s.o.MaxFails, "retry_in", s.o.FailTime)
}

// Failing reports whether the last requests to the only server of a group have failed. It gets requests nevertheless.
func (s *Set) Failing(server *Server) bool {
	return server.only && int(server.failures.Load()) >= max(s.o.MaxFails, 1)
}

// Stats are counts of one upstream, for metrics.
type Stats struct {
	Name    string
	Active  int64            // requests and tunnels in progress
	Down    bool             // it is marked down or unhealthy, or is the only one and fails
	Notices map[string]int64 // faults of its responses that are accepted, by kind

	FirstByte metric.Histogram // from passing a request on to the head of its response
}

// Stats returns the counts of all upstreams. An address that several groups have, by whatever scheme, is one of them, and
// down if it is for any group.
func (s *Set) Stats(now time.Time) []Stats {
	list := make([]Stats, 0, len(s.servers))
	for _, u := range s.servers {
		name := u.String()
		i := slices.IndexFunc(list, func(x Stats) bool { return x.Name == name })
		if i < 0 {
			i = len(list)
			list = append(list, Stats{Name: name, Notices: map[string]int64{}})
		}
		x := &list[i]
		x.Active += u.Active()
		x.Down = x.Down || u.Down(now) || s.Failing(u)
		for kind, n := range u.notices.counts() {
			x.Notices[kind] += n
		}
		for _, w := range u.waits {
			w.AddTo(&x.FirstByte)
		}
	}
	return list
}

// Group is the upstreams of a route.
type Group struct {
	set   *Set
	bits  uint64  // one for the Index of each
	First *Server // nil without any
}

// Add creates a group. It shares no server with other groups. With a site, its upstreams speak FastCGI.
func (s *Set) Add(list []Upstream, folder *site.Site) *Group {
	g := &Group{set: s}
	for _, u := range list {
		server := &Server{Upstream: u, Index: len(s.servers), only: len(list) == 1, site: folder, state: s.stateOf(&u, folder != nil)}
		if g.First == nil {
			g.First = server
		}
		g.bits |= 1 << server.Index
		s.servers = append(s.servers, server)
	}
	return g
}

// All returns the servers of the group.
func (g *Group) All() (list []*Server) {
	for _, s := range g.set.servers {
		if g.Has(s.Index) {
			list = append(list, s)
		}
	}
	return list
}

// Has reports whether the server with that Index is of the group.
func (g *Group) Has(index int) bool { return g.bits&(1<<index) != 0 }

func (g *Group) hasMultiple() bool { return bits.OnesCount64(g.bits) > 1 }

// Choose returns the server for a request, and counts the request until Release. It takes no server in tried (a bit for
// each Index). It prefers sticky, the client's own, if that is up; otherwise it takes the server with the fewest active
// requests of those that are up, and a backup only if there is no other. full means that servers are up, but all are at
// MaxConns.
func (g *Group) Choose(tried uint64, sticky int, now time.Time) (s *Server, full bool) {
	all := g.set.servers
	if sticky >= 0 {
		if s := all[sticky]; tried&(1<<sticky) == 0 && !s.Down(now) {
			if s.take() {
				return s, false
			}
			return nil, true // only this server has the session
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
		// None is up: those that are down are tried once nevertheless, as the request would fail otherwise.
	}
	return nil, false
}
