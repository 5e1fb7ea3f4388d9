package upgrade

import (
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/render"
	"holdfast/internal/request"
	"holdfast/internal/sendqueue"
	"holdfast/internal/session"
	"holdfast/internal/subscribe"
	"holdfast/upgrade/client"
)

// stepMembers are delivered to before the loop looks at other events: about half a millisecond.
const stepMembers = 64

// maxRenderings large messages wait for a worker. Others are rendered when they are delivered.
const maxRenderings = 1024

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
	SendQueue      int           // bytes that may wait for one slow reader
	SendQueueTotal int64         // bytes that may wait for all slow readers
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

	Observer connection.Observer // nil: nobody wants to know

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
	o          Options
	forms      forms // never changed
	requests   *subscribe.Server
	auth       *auth.Service
	draining   atomic.Bool
	received   *receive.Memory
	messages   *auth.Semaphore // to Options.Message
	inflations *auth.Semaphore // of large messages, on workers
	renderers  *park.Pool      // of large messages of the hub
	stats      counters
	users      *auth.UserLimiter[connRef]

	born time.Time // where the clock of held.pace begins

	indexes []connIndex // by that of the loop
	epoch   string      // of this process, in the ids of connections
}

// New returns a keeper. It starts nothing; the hub's lanes are wired to the poller's loops.
func New(o Options) *Keeper {
	k := &Keeper{
		o: o, messages: auth.NewSemaphore(o.InFlight), inflations: auth.NewSemaphore(maxInflations), users: auth.NewUserLimiter[connRef](o.MaxPerUser), born: time.Now(), epoch: rand.Text()[:12],
	}
	k.renderers = o.Poller.NewPool(max(len(o.Poller.Loops())/2, 1), maxRenderings)
	k.forms, k.received = newForms(k), receive.NewMemory(o.InboundTotal)
	k.auth = auth.NewService(auth.ServiceOptions{
		Authorizer: o.Authorizer, CacheAge: o.AuthorizeCache, LogoutCookies: o.LogoutCookies, InFlight: o.Asking, Log: o.Log,
		NewPool: func(workers, queue int) auth.Pool { return o.Poller.NewPool(workers, queue) },
	})
	k.requests = subscribe.New(subscribe.Options{
		Paths: o.Paths, Below: map[string]func(*fasthttp.RequestCtx) (int, string){client.Path: client.Serve, client.ShimPath: client.ServeShim},
		Origins: o.Origins, MaxChannels: o.MaxChannels, MaxConnections: o.MaxConnections, MaxPerUser: o.MaxPerUser,
		Dialects: k.forms.requests(), Rules: o.Rules, Auth: k.auth, Tokens: o.Tokens, TokenCookie: o.TokenCookie,
		AtLimit:  func(user string) bool { return k.users.AtLimit(user, time.Now()) },
		Open:     k.forms.open,
		Draining: k.draining.Load,
		Prepare:  k.findNewest,
		Hold:     func(c *park.Conn, s *Spec) { k.hold(c, k.forms.byName(s.Dialect), s) },
		Gone:     func() { k.stats.drop(clientGone) },
		Resume:   o.Resume, Poller: o.Poller, Log: o.Log, Access: o.Access,
	})
	for range o.Poller.Loops() {
		k.indexes = append(k.indexes, connIndex{
			Index: session.NewIndex[*held](), queues: sendqueue.NewMemory(&k.stats.sendQueue), clients: map[*held]netip.AddrPort{},
		})
	}
	for i, loop := range o.Poller.Loops() {
		lane := o.Hub.Lane(i)
		var step func()
		step = func() {
			more := true // also after a panic
			defer func() {
				if more {
					loop.Later(step)
				}
			}()
			more = lane.Step(stepMembers)
		}
		lane.OnWork(func() { loop.Post(step) })
	}
	o.Hub.OnLarge(k.renderLarge)
	return k
}

// Owns reports whether a path is a push path or below it.
func (k *Keeper) Owns(path []byte) bool { return subscribe.PathOf(k.o.Paths, path) != "" }

// Serve takes c over, on its loop. The head of r has passed the strict check; r is copied.
func (k *Keeper) Serve(c *park.Conn, r *request.Request) { k.requests.Serve(c, r) }

// renderLarge renders a message in the forms of what is held, on a worker.
func (k *Keeper) renderLarge(m *hub.Message, done func()) bool {
	return k.renderers.Go(func() {
		defer done()
		for _, f := range k.forms {
			if f.open.Load() == 0 {
				continue
			}
			m.Rendered(f.encoding())
			if f.asksAgain() && k.o.Compress > 0 && len(m.Data) >= k.o.Compress {
				m.Rendered(render.ObjectDeflated)
			}
		}
	})
}

// Drain ends every held connection politely. New ones are refused.
func (k *Keeper) Drain() {
	k.draining.Store(true)
	for _, l := range k.o.Poller.Loops() {
		l.Post(func() {
			l.VisitAll(isHeld, func(c *park.Conn) {
				if x, ok := c.Handler().(*held); ok {
					step(x, func() { x.form.drain(x) })
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
