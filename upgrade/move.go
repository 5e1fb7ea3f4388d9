package upgrade

import (
	"fmt"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/heldindex"
	"holdfast/internal/heldrecord"
	"holdfast/internal/lanes"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/sendqueue"
	"holdfast/internal/session"
)

// settleTime is how long a move waits for what workers and the app do for clients. A connection for which they are not
// done then stays, and ends with this process.
const settleTime = time.Second

// deliverTime is how long a move waits for what is published to be delivered, or queued for slow clients.
const deliverTime = 5 * time.Second

// Mover moves held connections to another process, or from one. It is a takeover.Kind.
type Mover struct {
	k      *Keeper
	queues sendqueue.Part
}

// NewMover returns a Mover of a keeper.
func NewMover(k *Keeper) *Mover {
	return &Mover{k, sendqueue.Part{
		Hold:    k.settle,
		Deliver: func() error { return lanes.Drain(k.o.Hub, k.o.Poller, time.Now().Add(deliverTime)) },
		Each:    k.eachQueue,
		Resume:  k.resume,
	}}
}

// Queues returns the takeover.Part that comes before the connections. Until its Thaw, no client is read.
func (v *Mover) Queues() *sendqueue.Part { return &v.queues }

// Leave has clients whose requests are decided from now on decided by the other process, which has the others.
func (v *Mover) Leave() { v.k.moved.Store(true) }

func (k *Keeper) settle() {
	k.settling.Store(true)
	for by := time.Now().Add(settleTime); k.working.Load() > 0 && time.Now().Before(by); {
		time.Sleep(time.Millisecond)
	}
}

// resume ends settle. moved is that another process has the connections.
func (k *Keeper) resume(moved bool) {
	if moved {
		k.moved.Store(true)
	}
	k.settling.Store(false)
	k.index.All(func(x *held) { step(x, x.unpause) })
}

func (k *Keeper) eachQueue(yield func(*sendqueue.Queue)) {
	k.index.EachFrozen(func(x *held) {
		if x.queue != nil {
			yield(&x.queue.Queue)
		}
	})
}

// Name implements takeover.Kind.
func (*Mover) Name() string { return "held" }

// Version implements takeover.Kind.
func (*Mover) Version() uint16 { return heldrecord.Version }

// Export appends the record of a connection. It reports false for one that is not held, or whose client has sent what is
// still being worked at, and for all after Leave: what is published since then they would miss.
func (v *Mover) Export(c *park.Conn, b []byte) ([]byte, bool) {
	x, ok := c.Handler().(*held)
	if !ok || v.k.moved.Load() {
		return b, false
	}
	r := heldrecord.Record{
		Dialect: x.form.Name(), ID: v.k.index.ID(x), Client: v.k.index.Client(x), Session: x.session.Record(),
		Answered: x.answered, Pinged: x.pinged, Stalled: x.stalled, Paused: x.paused, Lead: x.pace.Lead(v.k.age(c.Loop())),
	}
	if user := x.session.User(); user != "" {
		r.Session.Rank = v.k.users.Rank(user, heldindex.RefTo(c))
	}
	for _, name := range x.membership.Group().Channels() {
		r.Channels = append(r.Channels, heldrecord.Channel{Name: name, Access: string(auth.Access(v.k.live().Rules, name))})
	}
	if q := x.queue; q != nil {
		r.Queue, r.Pongs, r.Reported = q.Items(), q.pongs, q.reported
	}
	if !x.form.record(x, &r) {
		return b, false
	}
	return heldrecord.Append(b, &r), true
}

// Moved forgets a connection that another process has, without a word to anybody.
func (v *Mover) Moved(c *park.Conn) {
	x := c.Handler().(*held)
	if !x.answered {
		x.form.open.Add(-1)
	}
	x.dropSession()
	x.queue = x.queue.release()
	x.form.release(x)
	x.k.index.Forget(x)
}

// Adopt continues to hold a connection of another process. Nobody is told of it, and nothing is sent yet. One that the
// rules do not allow any more is closed when the loops run.
func (v *Mover) Adopt(c *park.Conn, version uint16, record []byte) error {
	r, err := heldrecord.Parse(version, record)
	if err != nil {
		return err
	}
	k := v.k
	f := k.forms.byName(r.Dialect)
	if f == nil {
		return fmt.Errorf("%w: %q", ErrDialect, r.Dialect)
	}
	x := &held{k: k, c: c, form: f, answered: r.Answered, pinged: r.Pinged, stalled: r.Stalled}
	x.pace = receive.Ahead(r.Lead, k.age(c.Loop()))
	if len(r.Queue) > 0 {
		q, err := sendqueue.Restore(loopOf(x).queues, r.Queue, v.queues.Messages, f.render)
		if err != nil {
			return fmt.Errorf("held connection: %w", err)
		}
		x.queue = &sendQueue{Queue: q, pongs: r.Pongs, reported: r.Reported}
	}
	c.Hold(x)
	if r.Session != nil {
		x.session = session.Restore(k.index.Sessions(x), x, r.Session, c.Loop().Now())
	}
	if left := park.MovingOf(c).Deadline; r.Session != nil && r.Session.Asking {
		x.await(left) // or at once, as the response went to the other process
	} else if left == 0 {
		beginHeartbeat(x)
	}
	resumes := f.restore(x, r)
	if !x.answered {
		join(x, r)
	}
	if !resumes {
		c.Loop().Later(ifHeld(x, func() { x.form.drain(x) }))
	} else if !x.paused {
		x.pause(0) // bytes may have been read already
	}
	return nil
}

// join subscribes an adopted connection, and has it closed if the rules do not allow one of its channels any more.
func join(x *held, r *heldrecord.Record) {
	k := x.k
	x.form.open.Add(1)
	k.index.SetID(x, r.ID)
	if r.Client.IsValid() {
		k.index.SetClient(x, r.Client)
	}
	if user := x.session.User(); user != "" {
		k.countUser(x, user, r.Session.Rank)
	}
	names, access := []string(nil), map[string]channel.Access{}
	for _, c := range r.Channels {
		names, access[c.Name] = append(names, c.Name), channel.Access(c.Access)
	}
	x.lane().Join(x, names, 0, false)
	if o := k.o.Observer; x.session == nil || !x.session.Told {
		x.begun()
	} else if x.session.Told = o != nil && o.Wants(x.session.User(), names); x.session.Told {
		o.Adopted(x.connection(names))
	}
	if end := recheck(x, func(name string) channel.Access { return access[name] }); end != nil {
		x.c.Loop().Later(ifHeld(x, end))
	}
}
