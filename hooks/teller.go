package hooks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"holdfast/internal/hub"
)

const (
	maxBatchBytes = 256 << 10 // of events in one POST, but for a single larger one: below what servers take

	firstPause = 500 * time.Millisecond // after a POST that the app did not take
	maxPause   = 30 * time.Second
)

// TellerOptions are the properties of a Teller. Post is required.
type TellerOptions struct {
	// Post hands the app one batch, and returns nil when the app has taken it. It ends when ctx does.
	Post func(ctx context.Context, body []byte) error

	Batch      int           // events in one POST; zero means 100
	Delay      time.Duration // that the first event of a batch waits for others
	Queue      int           // events that may wait; past this the oldest are lost; zero means 10,000
	QueueBytes int64         // the same in bytes; zero means 4 MiB

	Log *slog.Logger     // nil: no log
	Now func() time.Time // nil: time.Now
}

// Teller tells the app of events, in their order and each at least once, one batch at a time. What the app does not take
// is posted again after a pause that grows; meanwhile events wait, and when too many do the oldest are lost and
// the app is told how many.
type Teller struct {
	// Static after construction.
	options TellerOptions
	log     *slog.Logger
	now     func() time.Time
	wakec   chan struct{} // holds one: look again
	ctx     context.Context
	cancel  context.CancelFunc // ends Serve, also in the middle of a POST
	donec   chan struct{}      // closed by Serve

	mu       sync.Mutex // guards what follows
	spill    spill
	last     hub.ID        // newest id that was given
	oldest   time.Time     // when the first event that waits was told
	pause    time.Duration // before the next try; zero: the last one went well
	until    time.Time     // no try before
	closing  bool
	told     uint64
	lost     uint64
	failures uint64
}

// NewTeller returns a teller. It starts nothing.
func NewTeller(o TellerOptions) *Teller {
	if o.Batch <= 0 {
		o.Batch = 100
	}
	if o.Queue <= 0 {
		o.Queue = 10_000
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 4 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Teller{
		options: o, log: o.Log, now: o.Now,
		wakec: make(chan struct{}, 1), donec: make(chan struct{}),
		last:  hub.ID(o.Now().UnixMilli()) << 20,
		spill: spill{maxCount: o.Queue, maxBytes: o.QueueBytes},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Tell puts an event behind those that wait. It does not block; any goroutine may call it, and the order of two
// events is that of the calls.
func (t *Teller) Tell(e Event) {
	text := e.encode()
	t.mu.Lock()
	t.last++
	first := t.spill.count() == 0
	if first {
		t.oldest = t.now()
	}
	before := t.spill.lost
	dropped := t.spill.push(waiting{t.last, text})
	t.lost += dropped
	wake := first || t.spill.count() == t.options.Batch
	t.mu.Unlock()
	if dropped > 0 && before == 0 {
		t.log.Warn("events are lost: more wait than events.queue or events.queue_size lets; the app will be told how many")
	}
	if wake {
		t.wake()
	}
}

func (t *Teller) wake() {
	select {
	case t.wakec <- struct{}{}:
	default:
	}
}

// Serve tells the app until Shutdown.
func (t *Teller) Serve() {
	defer close(t.donec)
	defer t.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		body, count, lost, wait := t.next()
		switch {
		case body != nil:
			t.settle(t.options.Post(t.ctx, body), count, lost)
			if t.ctx.Err() == nil {
				continue
			}
			return
		case wait < 0:
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-t.wakec:
		case <-t.ctx.Done():
			return
		}
	}
}

// longWait is until something happens.
const longWait = time.Hour

// next returns the next batch, with how many events it has and how many losses it tells of; or how long to
// wait for it; or a wait below zero when there is nothing left to do.
func (t *Teller) next() (body []byte, count int, lost uint64, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.spill.count()
	now := t.now()
	switch {
	case n == 0 && t.spill.lost == 0 && t.closing:
		return nil, 0, 0, -1
	case n == 0 && t.spill.lost == 0:
		return nil, 0, 0, longWait
	case now.Before(t.until):
		return nil, 0, 0, t.until.Sub(now)
	case !t.closing && len(t.spill.flight) == 0 && n < t.options.Batch:
		if wait := t.oldest.Add(t.options.Delay).Sub(now); wait > 0 {
			return nil, 0, 0, wait
		}
	}
	batch := t.spill.take(t.options.Batch, maxBatchBytes)
	body, lost = t.encode(batch), t.spill.lost
	return body, len(batch), lost, 0
}

// encode writes a batch, with what was lost where it is missing.
func (t *Teller) encode(batch []waiting) []byte {
	const begin = `{"events":[`
	body := []byte(begin)
	add := func(id hub.ID, members []byte) {
		if len(body) > len(begin) {
			body = append(body, ',')
		}
		body = appendEvent(body, id, members)
	}
	lost := t.spill.lost > 0
	tellLost := func() {
		add(t.spill.lostID, encodeEvent(eventJSON{
			Type: EventLost, At: t.now().UTC().Format(eventTime), Count: t.spill.lost,
		}))
		lost = false
	}
	for i := range batch {
		if lost && t.spill.lostID < batch[i].id {
			tellLost()
		}
		add(batch[i].id, batch[i].text)
	}
	if lost {
		tellLost()
	}
	return append(body, "]}\n"...)
}

// settle takes note of what became of a batch.
func (t *Teller) settle(err error, count int, lost uint64) {
	t.mu.Lock()
	if err == nil {
		t.spill.taken(lost)
		t.told += uint64(count)
		t.oldest = t.now()
		again := t.pause > 0
		t.pause, t.until = 0, time.Time{}
		t.mu.Unlock()
		if again {
			t.log.Info("the app is told of events again")
		}
		if lost > 0 {
			t.log.Warn("the app was told that events are lost", "count", lost)
		}
		return
	}
	t.spill.back()
	t.failures++
	t.pause = min(max(2*t.pause, firstPause), maxPause)
	again := t.pause/2 + rand.N(t.pause/2+1)
	t.until = t.now().Add(again)
	waiting := t.spill.count()
	t.mu.Unlock()
	t.log.Warn("the app was not told of events; they wait", "error", err, "waiting", waiting, "again_in", again.Round(time.Millisecond))
}

// Shutdown lets Serve, which must have been called, tell what is left until ctx ends, and returns after it.
func (t *Teller) Shutdown(ctx context.Context) {
	t.mu.Lock()
	t.closing = true
	t.until = time.Time{} // one more try at once
	t.mu.Unlock()
	t.wake()
	select {
	case <-t.donec:
	case <-ctx.Done():
		t.cancel()
		<-t.donec
	}
	if n := t.Stats().Waiting; n > 0 {
		t.log.Error("events are lost: the app did not take them before the end", "count", n)
	}
}

// TellerStats are a teller's numbers; the last three only grow.
type TellerStats struct {
	Waiting      int
	WaitingBytes int64

	Told, Lost, Failures uint64
}

// Stats may be called from any goroutine.
func (t *Teller) Stats() TellerStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return TellerStats{
		Waiting: t.spill.count(), WaitingBytes: t.spill.bytes,
		Told: t.told, Lost: t.lost, Failures: t.failures,
	}
}
