package appcall

import (
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/plainval"
)

// EventsVersion is the version of what Export appends.
const EventsVersion = 1

// Hold begins no POST until Release. It waits until none is in progress, but no longer than until by: its events are then
// posted again, as each is at least once.
func (s *EventSender) Hold(by time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
	for s.queue.posting && time.Now().Before(by) {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
}

// Release ends Hold. moved means that another process has imported the queue: what is in it is the other's to post, and
// later events have IDs that the other does not give.
func (s *EventSender) Release(moved bool) {
	s.mu.Lock()
	s.held = false
	if moved {
		s.queue.clear()
		s.last += 1 << 19 // the other begins at the next ID
	}
	s.mu.Unlock()
	s.wake()
}

// Export appends what another sender imports. The sender is held.
func (s *EventSender) Export(b []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := plainval.Encoder{B: b}
	e.Uint(uint64(s.last))
	e.Time(s.oldest)
	e.Duration(s.pause)
	e.Time(s.until)
	for _, n := range [...]uint64{s.sent, s.lost, s.failures, s.queue.lost, uint64(s.queue.lostID)} {
		e.Uint(n)
	}
	e.Uint(uint64(s.queue.count()))
	for _, list := range [][]queuedEvent{s.queue.inFlight, s.queue.queue[s.queue.head:]} {
		for _, v := range list {
			e.Uint(uint64(v.id))
			e.Bytes(v.text)
		}
	}
	return e.B
}

// Import continues with what Export has appended, before Serve.
func (s *EventSender) Import(b []byte) error {
	d := plainval.NewDecoder(b)
	s.mu.Lock()
	s.last, s.oldest, s.pause, s.until = hub.ID(d.Uint()), d.Time(), d.Duration(), d.Time()
	for _, n := range [...]*uint64{&s.sent, &s.lost, &s.failures, &s.queue.lost} {
		*n = d.Uint()
	}
	s.queue.lostID = hub.ID(d.Uint())
	last, dropped := hub.ID(0), uint64(0)
	for range d.Count() {
		v := queuedEvent{hub.ID(d.Uint()), append([]byte{}, d.Bytes()...)}
		if d.Err() != nil {
			break
		}
		if v.id <= last || v.id > s.last {
			d.Fail("event %d after %d, with the last at %d", v.id, last, s.last)
		}
		last = v.id
		dropped += s.queue.push(v)
	}
	s.lost += dropped
	s.mu.Unlock()
	if dropped > 0 {
		s.log.Warn("event queue full: the oldest are dropped; see events.queue and events.queue_size",
			"limit", s.options.Queue, "limit_bytes", s.options.QueueBytes)
	}
	return d.End()
}
