// Package serving has the options of the proxy, and what is made of them: what a request takes once, at its start.
package serving

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/admit"
	"holdfast/internal/balance"
	"holdfast/internal/cache/fetch"
	"holdfast/internal/heldpoll"
	"holdfast/internal/pushfields"
	"holdfast/internal/request"
	"holdfast/internal/route"
	"holdfast/internal/site"
)

// Options of a proxy. A time of zero is no limit.
type Options struct {
	route.Settings // of all requests for which no site and no route has others

	Upstreams   []balance.Upstream  // at least one, at most 64 with those of the sites and routes
	Sites       []route.SiteOptions // by the Host of a request; none: one for all hosts, which has Site and Routes
	Routes      []route.Options     // the first that matches gets a request; others go to Upstreams
	Pool        int                 // idle connections kept of each upstream, over all loops
	PoolIdle    time.Duration       // how long one is kept; below the app's own keep-alive time
	Queue       int                 // requests that may wait for an upstream at its limit
	QueueTime   time.Duration       // how long a request may wait
	MaxFails    int                 // consecutive failures after which an upstream is marked down for FailTime; 0: never
	FailTime    time.Duration
	NextError   bool   // an idempotent request whose upstream ends the connection without a response goes to the next
	NextTimeout bool   // so does one whose upstream sends none in time
	Sticky      string // cookie that ties a client to one upstream; empty: none

	Lookup     func(ctx context.Context, host string) ([]netip.Addr, error) // resolves host names; nil: the system's resolver
	CheckPath  string                                                       // path that Check requests from each upstream; empty: no checks
	CheckEvery time.Duration

	HeaderTime time.Duration // a request's head must be complete
	IdleTime   time.Duration // between two requests

	HeaderBytes  int // of a request's head
	HeaderFields int // header fields of a request

	Folder      string // directory for temporary files of bodies larger than the buffers; empty: none
	FileBytes   int64  // in the file of one body
	FilesTotal  int64  // in all files together; beyond it, no other body gets a file
	BufferTotal int64  // bytes of both kinds of bodies in memory, all clients together; beyond it, 8 kB each; default 16 MB

	ExternalHTTPS bool   // clients use https, unless a trusted proxy says otherwise
	ExternalPort  uint16 // port that clients connect to if neither Host nor a trusted proxy names one; 0: the scheme's default
	HSTS          string // value of Strict-Transport-Security for clients with TLS, unless the app sends one; empty: none
	HTTPSPort     uint16 // port of redirects to https; 0: the scheme's
	ASCIITargets  bool   // a target with a byte above 127 is refused
	RedirectHTTPS bool   // redirects a client that used plain http, as a trusted proxy says, to https

	ProxyProtocol bool // every connection begins with a PROXY header, and comes from a trusted peer

	Trusted    func(netip.Addr) bool // peers whose X-Forwarded-* are believed, also one without an address (a unix socket); nil: none
	Encoders   int64                 // compressors that belong to a response for long; 0: 64
	Cache      *fetch.Cache          // what is answered from memory; nil: nothing
	Held       *heldpoll.Polls       // requests that rules of Cache hold; nil: none is
	Challenge  func([]byte) []byte   // returns the response to a path if it is a challenge of a CA; nil: none are
	Push       *pushfields.Reader    // reads what the app publishes by its responses; nil: nothing does
	Site       *site.Site            // with FastCGI upstreams: what a path means; nil: the upstreams speak HTTP
	ServerAddr netip.AddrPort        // where clients connect, for SERVER_ADDR and SERVER_PORT; may be invalid
	Access     *accesslog.Log        // nil: none
	Sessions   request.Sessions      // is notified of responses that may end a session; nil: no notifications
	Local      admit.PushHandler     // serves the requests that are not for the app; nil: there are none
	Log        *slog.Logger
}
