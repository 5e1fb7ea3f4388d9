package upgrade

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/accesslog"
	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/render"
	"holdfast/internal/request"
	"holdfast/internal/sendqueue"
	"holdfast/internal/session"
	"holdfast/internal/subscribe"
	"holdfast/upgrade/client"
)

// stepMembers is how many members get a delivery before the loop handles other events: about half a millisecond.
const stepMembers = 64

// maxRenderings is how many large messages may wait for a worker. More are rendered on the loop, at delivery.
const maxRenderings = 1024

// Options of a Keeper.
type Options struct {
	Paths          []string      // of the push URLs; none is below another
	Heartbeat      time.Duration // interval of heartbeats on an idle connection; 0: none
	Wait, MaxWait  time.Duration // of a long poll: by default, and at most
	MaxChannels    int           // of one connection
	MaxMessage     int           // bytes of a message from a client
	Compress       int           // minimum bytes of data of a message to compress; 0: none is compressed
	MessageRate    int           // messages of one client per second
	Live           bool          // cookies are kept, so that channels with access authorize can be joined later
	SendQueue      int           // bytes queued for one slow client
	SendQueueTotal int64         // bytes queued for all slow clients
	Stall          time.Duration // how long a client may take nothing, without a heartbeat; twice at most; 0: 25 s
	InboundTotal   int64         // bytes stored of what all clients send; 0: no limit
	ReceiveTime    time.Duration // for a message to arrive, plus a second for each kB; 0: no limit
	MaxConnections int           // held at once; 0: no separate limit
	MaxPerUser     int           // of one user; 0: any number
	Origins        []string      // allowed besides the same origin: lower case, without a default port

	Rules      *channel.Rules
	Inspect    *inspect.Sessions // of holdfast doctor; nil: none
	Authorizer auth.Authorizer   // requests authorization from the app, on a worker; nil: push.authorize_path is not set
	Asking     int               // requests to Authorizer at once; others wait in a queue; 0: 64
	Tokens     auth.Verifier     // verifies tokens, on a worker; nil: tokens are off

	TokenCookie string                                                           // cookie that may have a token; empty: none
	Message     func(auth.Request, appcall.ClientMessage) (appcall.Reply, error) // posts a client message to the app, on a worker; nil: client messages are off
	InFlight    int                                                              // of these posts at once

	AuthorizeCache time.Duration // how long an allowed response is cached for an identical request; 0: not at all
	AuthorizeGrace time.Duration // how long a connection continues whose authorization has expired while the app can't be reached
	RenewalLimit   time.Duration // how long it continues while the app is asked again; 0: 30 s more than that
	LogoutCookies  []string      // session cookies that the app clears at logout
	LogoutPaths    http1.PathSet // after a request to one, the session's connections are authorized again
	OwnPaths       []string      // requested by Holdfast itself: a new session cookie in such a response is no reason to authorize again

	Observer connection.Observer // nil: no notifications

	Disconnected func(credentials []uint64) // is called on a loop with the sessions of a connection that Disconnect closes; nil: nothing is

	Hub    *hub.Hub
	Poller *park.Poller
	Log    *slog.Logger
	Access *accesslog.Log // nil: none

	// Resume takes a keep-alive connection back, on its loop. rest was read already; more means that further bytes may
	// wait for which no event follows.
	Resume func(c *park.Conn, rest []byte, more bool)
}

// Keeper holds connections.
type Keeper struct {
	o          Options
	forms      forms // not changed after New
	requests   *subscribe.Server
	auth       *auth.Service
	draining   atomic.Bool
	received   *receive.Memory
	messages   *auth.Semaphore // limits Options.Message
	inflations *auth.Semaphore // limits large messages inflated on workers
	renderers  *park.Pool      // workers that render large messages of the hub
	stats      counters
	users      *auth.UserLimiter[connRef]

	born  time.Time     // zero of the clock of held.pace
	stall time.Duration // how long a client may take nothing of its queue; twice at most
	limit time.Duration // of the renewal of an authorization

	indexes []connIndex // by the loop's index
	epoch   string      // of this process, in the IDs of connections
}

// New returns a keeper. It starts nothing; the hub's lanes are wired to the poller's loops.
func New(o Options) *Keeper {
	k := &Keeper{
		o: o, messages: auth.NewSemaphore(o.InFlight), inflations: auth.NewSemaphore(maxInflations), users: auth.NewUserLimiter[connRef](o.MaxPerUser), born: time.Now(), epoch: rand.Text()[:12],
		stall: cmp.Or(o.Heartbeat, o.Stall, 25*time.Second), limit: cmp.Or(o.RenewalLimit, o.AuthorizeGrace+subscribe.MaxWait),
	}
	k.renderers = o.Poller.NewPool(max(len(o.Poller.Loops())/2, 1), maxRenderings)
	k.forms, k.received = newForms(k), receive.NewMemory(o.InboundTotal)
	k.auth = auth.NewService(auth.ServiceOptions{
		Authorizer: o.Authorizer, CacheAge: o.AuthorizeCache, LogoutCookies: o.LogoutCookies, LogoutPaths: o.LogoutPaths, OwnPaths: o.OwnPaths, InFlight: o.Asking, Log: o.Log,
		NewPool: func(workers, queue int) auth.Pool { return o.Poller.NewPool(workers, queue) },
	})
	k.requests = subscribe.New(subscribe.Options{
		Paths: o.Paths, Below: map[string]func(*fasthttp.RequestCtx) (int, string){client.Path: client.Serve, client.ShimPath: client.ServeShim},
		Origins: o.Origins, MaxChannels: o.MaxChannels, MaxConnections: o.MaxConnections, MaxPerUser: o.MaxPerUser,
		Dialects: k.forms.requests(), Rules: o.Rules, Inspect: o.Inspect, Auth: k.auth, Tokens: o.Tokens, TokenCookie: o.TokenCookie,
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
			more := true // stays true if Step panics
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

// Owns reports whether a path is a push path or below one.
func (k *Keeper) Owns(path []byte) bool { return subscribe.PathOf(k.o.Paths, path) != "" }

// Serve takes over c, on its loop. The head of r has passed the strict check; r is copied.
func (k *Keeper) Serve(c *park.Conn, r *request.Request) { k.requests.Serve(c, r) }

// renderLarge renders a message on a worker, in each dialect that has held connections.
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

// Drain ends every held connection as its dialect does at a shutdown, and refuses new ones.
func (k *Keeper) Drain() {
	k.draining.Store(true)
	k.o.Poller.VisitAll(isHeld, func(c *park.Conn) {
		if x, ok := c.Handler().(*held); ok {
			step(x, func() { x.form.drain(x) })
		}
	})
}
