package route

import (
	"net/netip"
	"sync/atomic"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/cache/rules"
	"holdfast/internal/compress"
	"holdfast/internal/deny"
	"holdfast/internal/errorpage"
	"holdfast/internal/fcgi"
	"holdfast/internal/fieldset"
	"holdfast/internal/http1"
	"holdfast/internal/inject"
	"holdfast/internal/rate"
	"holdfast/internal/request"
	"holdfast/internal/tracecontext"
)

// Settings are how the requests of a route are handled. Each route has all of them, with what it takes from its site and from
// the top: nothing is looked up for a request but its route.
//
// A new setting is
//
//   - a field with its key in config.Block, its default in config.Default, its range in the block's validation, and its place
//     in config.yaml: what a site or a route does not say, it has from above without further code;
//   - a field here, whose zero value is off and costs a request nothing;
//   - a line in Server.settings (internal/server/settings.go).
//
// A time of zero is no limit.
type Settings struct {
	BodyTime     time.Duration // between two reads of a request body
	SendTime     time.Duration // between two writes to a client
	ConnectTime  time.Duration
	UpstreamTime time.Duration // between two reads or writes on the upstream
	HalfClose    time.Duration // how long after its request a client may end its side and still get the response; 0: never
	TunnelTime   time.Duration // a tunnel with no byte either way

	BodyBytes int64 // of a request's body; 0: the app decides
	BodyRate  int   // bytes per second, the minimum rate of a request's body; 0: any
	SendRate  int   // bytes per second, the minimum rate at which a client accepts a response; 0: any
	Gate      *Gate // limits the requests; nil: nothing does

	RequestBuffer  int  // bytes of a request's body that are read before the request is sent to the app; 0: none
	StreamUploads  bool // a body larger than the buffers is streamed to an HTTP app; otherwise it is refused
	ResponseBuffer int  // bytes read from the app ahead of one client; 0: one reading

	Deny     *deny.List           // paths that are not served; nil: all are
	Request  *request.Rules       // changes of requests' fields for the app; nil: none
	Fields   *fieldset.Rules      // changes of responses' fields; nil: none
	Pages    *errorpage.Pages     // that stand for short ones, and for those of the app; nil: none
	Params   []fcgi.Param         // of requests to scripts, besides the computed ones
	Trace    *tracecontext.Policy // what is done with the traces of requests; nil: nothing
	Access   *access.Rules        // whose clients may have an answer; nil: all
	Compress *compress.Rule       // which responses are compressed; nil: none

	Inject *inject.Rules // pages that get a script tag; nil: none
	Rules  *rules.Scope  // of what is answered from memory; nil: nothing is
}

// Gate limits the requests of all routes that share it.
type Gate struct {
	max  int64
	rate *rate.Limiter
	busy atomic.Int64
}

// NewGate returns a gate for max requests in progress at once, and for requests of one address as rate.New limits them. 0 is
// no limit; without any, it is nil.
func NewGate(max, perSecond, burst int) *Gate {
	if max <= 0 && perSecond <= 0 {
		return nil
	}
	return &Gate{max: int64(max), rate: rate.New(perSecond, burst)}
}

// Refuses refuses a request with a body of that length (-1: unknown) from an address: too large a body, a request beyond the rate
// of its address, or beyond the requests in progress.
func (s *Settings) Refuses(length int64, from netip.Addr, now time.Time) *http1.Refusal {
	if s.BodyBytes > 0 && length > s.BodyBytes {
		return http1.Refuse(413, "request body too large")
	}
	g := s.Gate
	if g == nil {
		return nil
	}
	if wait, ok := g.rate.Admit(from, now); !ok {
		return &http1.Refusal{Status: 429, Reason: "more requests than limits.requests_per_second allows", After: wait}
	}
	if g.max > 0 && g.busy.Load() >= g.max {
		return &http1.Refusal{Status: 503, Reason: "more requests in flight than limits.max_requests_in_flight", After: time.Second}
	}
	return nil
}

// Enter and Leave count a request in progress.
func (g *Gate) Enter() {
	if g != nil && g.max > 0 {
		g.busy.Add(1)
	}
}

// Leave ends what Enter has begun.
func (g *Gate) Leave() {
	if g != nil && g.max > 0 {
		g.busy.Add(-1)
	}
}
