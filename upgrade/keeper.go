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
	subscribe.Settings // of the beginning; see Use

	Paths        []string      // of the push URLs; none is below another
	Compress     int           // minimum bytes of data of a message to compress; 0: none is compressed
	Live         bool          // cookies are kept, so that channels with access authorize can be joined later
	InboundTotal int64         // bytes stored of what all clients send; 0: no limit
	MaxPerUser   int           // of one user; 0: any number
	Stall        time.Duration // how long a client may take nothing, without a heartbeat; twice at most; 0: 25 s

	Inspect    *inspect.Sessions // of holdfast doctor; nil: none
	Authorizer auth.Authorizer   // requests authorization from the app, on a worker; nil: push.authorize_path is not set
	Asking     int               // requests to Authorizer at once; others wait in a queue; 0: 64

	Message  func(auth.Request, appcall.ClientMessage) (appcall.Reply, error) // posts a client message to the app, on a worker; nil: client messages are off
	InFlight int                                                              // of these posts at once

	AuthorizeCache time.Duration // how long an allowed response is cached for an identical request; 0: not at all
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
	o          Options                          // without Settings, which are those of server
	server     atomic.Pointer[subscribe.Server] // see Use
	forms      forms                            // not changed after New
	auth       *auth.Service
	draining   atomic.Bool
	received   *receive.Memory
	messages   *auth.Semaphore // limits Options.Message
	inflations *auth.Semaphore // limits large messages inflated on workers
	renderers  *park.Pool      // workers that render large messages of the hub
	stats      counters
	users      *auth.UserLimiter[connRef]

	born time.Time // zero of the clock of held.pace

	indexes []connIndex // by the loop's index
	epoch   string      // of this process, in the IDs of connections
}

// New returns a keeper. It starts nothing; the hub's lanes are wired to the poller's loops.
func New(o Options) *Keeper {
	set := o.Settings
	o.Settings = subscribe.Settings{} // that nobody takes it for the present one
	k := &Keeper{
		o: o, messages: auth.NewSemaphore(o.InFlight), inflations: auth.NewSemaphore(maxInflations), users: auth.NewUserLimiter[connRef](o.MaxPerUser), born: time.Now(), epoch: rand.Text()[:12],
	}
	k.renderers = o.Poller.NewPool(max(len(o.Poller.Loops())/2, 1), maxRenderings)
	k.forms, k.received = newForms(k), receive.NewMemory(o.InboundTotal)
	k.auth = auth.NewService(auth.ServiceOptions{
		Authorizer: o.Authorizer, CacheAge: o.AuthorizeCache, LogoutCookies: o.LogoutCookies, LogoutPaths: o.LogoutPaths, OwnPaths: o.OwnPaths, InFlight: o.Asking, Log: o.Log,
		NewPool: func(workers, queue int) auth.Pool { return o.Poller.NewPool(workers, queue) },
	})
	k.server.Store(subscribe.New(subscribe.Options{
		Settings: set, Paths: o.Paths, Below: map[string]func(*fasthttp.RequestCtx) (int, string){client.Path: client.Serve, client.ShimPath: client.ServeShim},
		MaxPerUser: o.MaxPerUser, Dialects: k.forms.requests(), Inspect: o.Inspect, Auth: k.auth,
		AtLimit: func(user string) bool { return k.users.AtLimit(user, time.Now()) },
		Present: k.live, Open: k.forms.open,
		Draining: k.draining.Load,
		Prepare:  k.findNewest,
		Hold:     func(c *park.Conn, s *Spec) { k.hold(c, k.forms.byName(s.Dialect), s) },
		Gone:     func() { k.stats.drop(clientGone) },
		Resume:   o.Resume, Poller: o.Poller, Log: o.Log, Access: o.Access,
	}))
	for range o.Poller.Loops() {
		k.indexes = append(k.indexes, connIndex{
			Index: session.NewIndex[*held](), queues: sendqueue.NewMemory(&k.stats.SendQueue), clients: map[*held]netip.AddrPort{},
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

// requests returns what decides about new requests now.
func (k *Keeper) requests() *subscribe.Server { return k.server.Load() }

// live returns the present settings.
func (k *Keeper) live() *subscribe.Settings { return k.requests().Settings() }

// stall returns how long a client may take nothing of its queue; twice at most.
func (k *Keeper) stall() time.Duration { return cmp.Or(k.live().Heartbeat, k.o.Stall, 25*time.Second) }

// limit returns that of the renewal of an authorization.
func (k *Keeper) limit() time.Duration {
	return cmp.Or(k.o.RenewalLimit, k.live().AuthorizeGrace+subscribe.MaxWait)
}

// Owns reports whether a path is a push path or below one.
func (k *Keeper) Owns(path []byte) bool { return subscribe.PathOf(k.o.Paths, path) != "" }

// Serve takes over c, on its loop. The head of r has passed the strict check; r is copied.
func (k *Keeper) Serve(c *park.Conn, r *request.Request) { k.requests().Serve(c, r) }

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
