package upgrade

import (
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/request"
	"holdfast/internal/sendqueue"
	"holdfast/internal/throttle"
)

// stepMembers are delivered to before the loop looks at other events: about half a millisecond.
const stepMembers = 64

// Options of a Keeper.
type Options struct {
	Paths          []string      // of the push URLs, none below another
	Heartbeat      time.Duration // between two signs of life on a silent connection; 0: none
	Wait, MaxWait  time.Duration // of a long poll: without being asked, and at most
	MaxChannels    int           // of one connection
	MaxMessage     int           // bytes of a message from a client
	Compress       int           // bytes of data from which on a message is compressed for who accepts it; 0: none is
	MessageRate    int           // messages of one client that are heard, a second
	Live           bool          // logins are kept, so that guarded channels can be joined later
	Outbox         int           // bytes that may wait for one slow reader
	OutboxTotal    int64         // bytes that may wait for all slow readers
	InboundTotal   int64         // bytes of what all clients have begun to send; 0: no limit
	ReceiveTime    time.Duration // for a message that has begun to come, beside a second for each kB; 0: no limit
	MaxConnections int           // held at once; 0: no limit of its own
	MaxPerUser     int           // of these, those of one user that the app has named; 0: any number
	Origins        []string      // accepted beside the same origin: lower case, default port left out

	Rules      *channel.Rules
	Authorizer auth.Authorizer // asks the app, on a worker; nil: nobody can be asked
	Asking     int             // requests to Authorizer at once, the others wait in a queue; 0: 64
	Tokens     auth.Verifier   // reads tokens, on a worker; nil: there are none

	TokenCookie string                                                           // where a token may be; empty: in no cookie
	Message     func(auth.Request, appcall.ClientMessage) (appcall.Reply, error) // posts a client message to the app, on a worker; nil: none is
	InFlight    int                                                              // such posts at once

	AuthorizeCache time.Duration // how long a yes of the app is good for who asks the same; 0: once
	AuthorizeGrace time.Duration // how long a hold outlives its verdict while the app cannot be asked
	LogoutCookies  []string      // what an app takes back at logout
	LogoutPaths    []string      // after a request to which the app is asked again
	OwnPaths       []string      // which the keeper asks itself: an app that sets its cookie anew there says nothing new

	Observer Observer // nil: nobody wants to know

	Hub    *hub.Hub
	Poller *park.Poller
	Log    *slog.Logger
	Access *accesslog.Log // nil: none

	// Resume takes a keep-alive connection back, on its loop; rest was read already, and more says that
	// further bytes may wait of which no event tells.
	Resume func(c *park.Conn, rest []byte, more bool)
}

// Keeper holds connections.
type Keeper struct {
	o           Options
	engine      fasthttp.Server
	forms       forms // never changed
	draining    atomic.Bool
	originHints throttle.Throttle // of logForeign
	noCookies   throttle.Throttle
	inboundFull throttle.Throttle
	messages    *auth.Semaphore // to Options.Message
	askers      *askers         // to Options.Authorizer
	cache       *auth.Cache     // nil: none is kept
	revocations auth.Revocations
	credentials *auth.Credentials
	stats       counters
	users       *auth.UserLimiter[connRef]

	born time.Time // where the clock of held.lead begins

	registers []register // by the index of the loop
	epoch     string     // of this process, in the ids of connections
}

// New returns a keeper. It starts nothing; the hub's lanes are wired to the poller's loops.
func New(o Options) *Keeper {
	k := &Keeper{
		o: o, messages: auth.NewSemaphore(o.InFlight), credentials: auth.NewCredentials(o.LogoutCookies),
		users: auth.NewUserLimiter[connRef](o.MaxPerUser), born: time.Now(), epoch: rand.Text()[:12],
	}
	if o.AuthorizeCache > 0 && o.Authorizer != nil {
		k.cache = auth.NewCache(o.AuthorizeCache, o.Authorizer, o.Log)
	}
	k.askers = newAskers(&k.o)
	k.forms = newForms(k)
	for range o.Poller.Loops() {
		k.registers = append(k.registers, register{
			users: map[string]*held{}, credentials: map[uint64]*held{}, more: map[uint64]map[*held]struct{}{}, queues: sendqueue.NewMemory(&k.stats.outbox), clients: map[*held]netip.AddrPort{},
		})
	}
	k.engine = fasthttp.Server{
		Handler: k.handle, NoDefaultServerHeader: true, DisablePreParseMultipartForm: true,
		ReadBufferSize: 64 << 10, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		KeepHijackedConns: true, SecureErrorLogMessage: true, Logger: silent{},
		ErrorHandler: func(ctx *fasthttp.RequestCtx, err error) {
			status, why := 400, "malformed request"
			if small := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &small) {
				status, why = 431, "request head too large"
			}
			k.stats.reject(byStatus, status)
			k.refuse(ctx, status, why, "")
		},
		ConnState: func(c net.Conn, s fasthttp.ConnState) {
			if s == fasthttp.StateIdle {
				c.(*pushRequest).idle()
			}
		},
	}
	for i, loop := range o.Poller.Loops() {
		lane := o.Hub.Lane(i)
		var step func()
		step = func() {
			if lane.Step(stepMembers) {
				loop.Later(step)
			}
		}
		lane.OnWork(func() { loop.Post(step) })
	}
	return k
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// Owns reports whether a path is a push path or below it.
func (k *Keeper) Owns(path []byte) bool { return pushPath(k.o.Paths, path) != "" }

// pushPath returns that of list which path is or is below, or nothing.
func pushPath(list []string, path []byte) string {
	for _, p := range list {
		if len(path) >= len(p) && string(path[:len(p)]) == p && (len(path) == len(p) || path[len(p)] == '/') {
			return p
		}
	}
	return ""
}

// Serve takes c over, on its loop. The head of r has passed the strict check; r is copied.
func (k *Keeper) Serve(c *park.Conn, r *request.Request) {
	if r.Body { // nobody would read it, and it must not be taken for the next request
		k.turnAway(c, r, 400, "a body has no meaning here")
		return
	}
	v := &pushRequest{k: k, req: r.Clone(), came: time.Now()}
	v.spec.Client = v.req.Client
	v.Stream = park.NewStream(c, v.req.Head)
	run, needsApp := k.o.Poller.Go, k.needsApp(r.Head)
	if needsApp {
		run = k.askers.run
	}
	if !run(v.serve) {
		if !needsApp { // or it has logged that
			k.logRejected(slog.LevelWarn, "all workers are busy and their queue is full", request.AddrText(r.Client))
		}
		k.turnAway(c, r, 503, "too busy")
	}
}

// Drain ends every held connection politely. New ones are refused.
func (k *Keeper) Drain() {
	k.draining.Store(true)
	for _, l := range k.o.Poller.Loops() {
		l.Post(func() {
			l.VisitAll(isHeld, func(c *park.Conn) {
				if x, ok := c.Handler().(*held); ok {
					x.form.drain(x)
				}
			}, func() {})
		})
	}
}

// jitter spreads d over its upper half.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + mathrand.N(d/2+1)
}
