package upgrade

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/auth"
	"holdfast/internal/ending"
	"holdfast/internal/heldindex"
	"holdfast/internal/holding"
	"holdfast/internal/hub"
	"holdfast/internal/inflate"
	"holdfast/internal/lanes"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/render"
	"holdfast/internal/request"
	"holdfast/internal/sendqueue"
	"holdfast/internal/subscribe"
	"holdfast/upgrade/client"
)

// stepMembers is how many members get a delivery before the loop handles other events: about half a millisecond.
const stepMembers = 64

// maxRenderings is how many large messages may wait for a worker. More are rendered on the loop, at delivery.
const maxRenderings = 1024

// Options of a Keeper.
type Options = holding.Options

// Keeper holds connections.
type Keeper struct {
	o         Options                          // without Settings, which are those of server
	server    atomic.Pointer[subscribe.Server] // see Use
	forms     forms                            // not changed after New
	auth      *auth.Service
	draining  atomic.Bool
	received  *receive.Memory
	messages  *auth.Semaphore // limits Options.Message
	inflater  *inflate.Inflater
	renderers *park.Pool // workers that render large messages of the hub
	stats     counters
	users     *auth.UserLimiter[heldindex.Ref]

	born time.Time // zero of the clock of held.pace

	index *heldindex.Index[*held]
	loops []loopState // by the loop's index

	working  atomic.Int64 // what workers and the app do for clients
	settling atomic.Bool  // no client is read, see Mover.Settle
	moved    atomic.Bool  // another process has the connections
}

// New returns a keeper. It starts nothing; the hub's lanes are wired to the poller's loops.
func New(o Options) *Keeper {
	set := o.Settings
	o.Settings = subscribe.Settings{} // that nobody takes it for the present one
	k := &Keeper{
		o: o, messages: auth.NewSemaphore(o.InFlight), inflater: inflate.New(o.Poller), users: auth.NewUserLimiter[heldindex.Ref](o.MaxPerUser), born: time.Now(), index: heldindex.New[*held](o.Poller),
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
		Draining: k.draining.Load, Moved: k.moved.Load,
		Prepare: k.findNewest,
		Hold:    func(c *park.Conn, s *Spec) { k.hold(c, k.forms.byName(s.Dialect), s) },
		Gone:    func() { k.stats.drop(ending.ClientGone) },
		Resume:  o.Resume, Poller: o.Poller, Log: o.Log, Access: o.Access,
	}))
	for range o.Poller.Loops() {
		k.loops = append(k.loops, loopState{queues: sendqueue.NewMemory(&k.stats.SendQueue)})
	}
	lanes.Wire(o.Hub, o.Poller, stepMembers)
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
	k.index.All(func(x *held) { step(x, func() { x.form.drain(x) }) })
}
