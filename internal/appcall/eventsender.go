package appcall

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

	firstPause = 500 * time.Millisecond // after a batch that the app did not accept
	maxPause   = 30 * time.Second
)

// EventSenderOptions are the properties of an EventSender. Post is required.
type EventSenderOptions struct {
	// Post posts one batch, and returns nil if the app has accepted it. It ends when ctx does.
	Post func(ctx context.Context, body []byte) error

	Batch      int           // events in one POST; zero means 100
	Delay      time.Duration // that the first event of a batch waits for others
	Queue      int           // queued events; beyond this the oldest are dropped; zero means 10,000
	QueueBytes int64         // the same in bytes; zero means 4 MiB

	Log *slog.Logger     // nil: no log
	Now func() time.Time // nil: time.Now
}

// EventSender sends events to the app, in order and each at least once, one batch at a time. A batch that the app does
// not accept is posted again after a pause that grows. Meanwhile events are queued; beyond the limits the oldest are
// dropped, and an event of type [EventLost] says how many.
type EventSender struct {
	// Static after construction.
	options EventSenderOptions
	log     *slog.Logger
	now     func() time.Time
	wakec   chan struct{} // holds one: look again
	ctx     context.Context
	cancel  context.CancelFunc // ends Serve, also in the middle of a POST
	donec   chan struct{}      // closed by Serve

	mu       sync.Mutex // guards what follows
	queue    eventQueue
	last     hub.ID        // newest id that was given
	oldest   time.Time     // when the first queued event came
	pause    time.Duration // before the next attempt; zero: the last one succeeded
	until    time.Time     // no attempt before
	closing  bool
	held     bool // see Hold
	sent     uint64
	lost     uint64
	failures uint64
}

// NewEventSender returns a sender. It starts nothing.
func NewEventSender(o EventSenderOptions) *EventSender {
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
	s := &EventSender{
		options: o, log: o.Log, now: o.Now,
		wakec: make(chan struct{}, 1), donec: make(chan struct{}),
		last:  hub.ID(o.Now().UnixMilli()) << 20,
		queue: eventQueue{maxCount: o.Queue, maxBytes: o.QueueBytes},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Enqueue appends an event to the queue. It does not block; any goroutine may call it, and the order of two events is
// that of the calls.
func (s *EventSender) Enqueue(e Event) {
	text := e.encode()
	s.mu.Lock()
	s.last++
	first := s.queue.count() == 0
	if first {
		s.oldest = s.now()
	}
	before := s.queue.lost
	dropped := s.queue.push(queuedEvent{s.last, text})
	s.lost += dropped
	wake := first || s.queue.count() == s.options.Batch
	s.mu.Unlock()
	if dropped > 0 && before == 0 {
		s.log.Warn("event queue full: the oldest are dropped; see events.queue and events.queue_size",
			"limit", s.options.Queue, "limit_bytes", s.options.QueueBytes)
	}
	if wake {
		s.wake()
	}
}

func (s *EventSender) wake() {
	select {
	case s.wakec <- struct{}{}:
	default:
	}
}

// Serve sends events until Shutdown.
func (s *EventSender) Serve() {
	defer close(s.donec)
	defer s.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		body, count, lost, wait := s.next()
		switch {
		case body != nil:
			s.onResult(s.options.Post(s.ctx, body), count, lost)
			if s.ctx.Err() == nil {
				continue
			}
			return
		case wait < 0:
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wakec:
		case <-s.ctx.Done():
			return
		}
	}
}

// longWait is until something happens.
const longWait = time.Hour

// next returns the next batch, with how many events it has and how many lost ones it reports; or how long to
// wait for it; or a wait below zero when there is nothing left to do.
func (s *EventSender) next() (body []byte, count int, lost uint64, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.queue.count()
	now := s.now()
	switch {
	case s.held:
		return nil, 0, 0, longWait
	case n == 0 && s.queue.lost == 0 && s.closing:
		return nil, 0, 0, -1
	case n == 0 && s.queue.lost == 0:
		return nil, 0, 0, longWait
	case now.Before(s.until):
		return nil, 0, 0, s.until.Sub(now)
	case !s.closing && len(s.queue.inFlight) == 0 && n < s.options.Batch:
		if wait := s.oldest.Add(s.options.Delay).Sub(now); wait > 0 {
			return nil, 0, 0, wait
		}
	}
	batch := s.queue.take(s.options.Batch, maxBatchBytes)
	body, lost = s.encode(batch), s.queue.lost
	return body, len(batch), lost, 0
}

// encode writes a batch, and reports lost events where they are missing.
func (s *EventSender) encode(batch []queuedEvent) []byte {
	const begin = `{"events":[`
	body := []byte(begin)
	add := func(id hub.ID, members []byte) {
		if len(body) > len(begin) {
			body = append(body, ',')
		}
		body = appendEvent(body, id, members)
	}
	lost := s.queue.lost > 0
	reportLost := func() {
		add(s.queue.lostID, encodeEvent(eventJSON{
			Type: EventLost, At: s.now().UTC().Format(eventTime), Count: s.queue.lost,
		}))
		lost = false
	}
	for i := range batch {
		if lost && s.queue.lostID < batch[i].id {
			reportLost()
		}
		add(batch[i].id, batch[i].text)
	}
	if lost {
		reportLost()
	}
	return append(body, "]}\n"...)
}

// onResult records whether the app has accepted a batch.
func (s *EventSender) onResult(err error, count int, lost uint64) {
	s.mu.Lock()
	if err == nil {
		s.queue.ack(lost)
		s.sent += uint64(count)
		s.oldest = s.now()
		again := s.pause > 0
		s.pause, s.until = 0, time.Time{}
		s.mu.Unlock()
		if again {
			s.log.Info("event webhook works again")
		}
		if lost > 0 {
			s.log.Warn("event webhook reported lost events", "count", lost)
		}
		return
	}
	s.queue.requeue()
	s.failures++
	s.pause = min(max(2*s.pause, firstPause), maxPause)
	retry := s.pause/2 + rand.N(s.pause/2+1)
	s.until = s.now().Add(retry)
	queued := s.queue.count()
	s.mu.Unlock()
	s.log.Warn("event webhook failed; retrying", "error", err, "queued", queued, "retry_in", retry.Round(time.Millisecond))
}

// Shutdown lets Serve, which must have been called, send what is left until ctx ends, and returns after it.
func (s *EventSender) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.closing, s.held = true, false
	s.until = time.Time{} // one more attempt at once
	s.mu.Unlock()
	s.wake()
	select {
	case <-s.donec:
	case <-ctx.Done():
		s.cancel()
		<-s.donec
	}
	if n := s.Stats().Queued; n > 0 {
		s.log.Error("events lost at shutdown: the app did not accept them", "count", n)
	}
}

// EventSenderStats are a sender's numbers; the last three only grow.
type EventSenderStats struct {
	Queued      int
	QueuedBytes int64

	Sent, Lost, Failures uint64
}

// Stats may be called from any goroutine.
func (s *EventSender) Stats() EventSenderStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return EventSenderStats{
		Queued: s.queue.count(), QueuedBytes: s.queue.bytes,
		Sent: s.sent, Lost: s.lost, Failures: s.failures,
	}
}
