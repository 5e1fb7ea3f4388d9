package appcall

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/plainval"
	"holdfast/internal/wiretest"
)

// posts has the bodies that a sender has posted.
type posts struct {
	mu   sync.Mutex
	list []string
	err  error
}

func (p *posts) post(_ context.Context, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, string(body))
	return p.err
}

func (p *posts) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.list, "\n")
}

// serve runs a sender until the end of the test.
func serve(t *testing.T, s *EventSender) {
	go s.Serve()
	t.Cleanup(func() { s.Shutdown(t.Context()) })
}

// TestEventsMove checks that another process posts what the first one could not, in order, and that the first posts
// nothing of it any more.
func TestEventsMove(t *testing.T) {
	down := &posts{err: errors.New("down")}
	old := NewEventSender(EventSenderOptions{Post: down.post, Batch: 3})
	for i := range 5 {
		old.Enqueue(Event{Type: EventConnect, At: time.Unix(int64(i), 0), Connection: fmt.Sprint("c", i)})
	}
	serve(t, old)
	wiretest.Eventually(t, "a post fails", func() bool { return old.Stats().Failures > 0 })
	old.Hold(time.Now().Add(time.Minute))
	b := old.Export(nil)

	up := new(posts)
	next := NewEventSender(EventSenderOptions{Post: up.post, Batch: 3})
	if err := next.Import(b); err != nil {
		t.Fatal(err)
	}
	next.until = time.Time{}
	old.Release(true)
	next.Enqueue(Event{Type: EventOnline, At: time.Unix(9, 0), User: "last"})
	serve(t, next)
	wiretest.Eventually(t, "all is posted", func() bool { return strings.Contains(up.text(), "last") })
	at := 0
	for _, want := range []string{`"c0"`, `"c1"`, `"c2"`, `"c3"`, `"c4"`, `"last"`} {
		i := strings.Index(up.text()[at:], want)
		if i < 0 || strings.Count(up.text(), want) != 1 {
			t.Fatalf("%s is not in its place, or not once: %s", want, up.text())
		}
		at += i
	}
	if s := old.Stats(); s.Queued != 0 || s.QueuedBytes != 0 {
		t.Errorf("the first still has %+v", s)
	}
}

// TestHeldEventsGoOn checks that a sender whose queue has not moved posts it.
func TestHeldEventsGoOn(t *testing.T) {
	up := new(posts)
	s := NewEventSender(EventSenderOptions{Post: up.post})
	serve(t, s)
	s.Hold(time.Now().Add(time.Minute))
	s.Enqueue(Event{Type: EventOnline, At: time.Unix(9, 0), User: "ann"})
	if got := up.text(); got != "" {
		t.Errorf("posted %s", got)
	}
	s.Release(false)
	wiretest.Eventually(t, "it is posted", func() bool { return strings.Contains(up.text(), "ann") })
}

// TestBadEvents checks what Export does not write.
func TestBadEvents(t *testing.T) {
	old := NewEventSender(EventSenderOptions{})
	for range 3 {
		old.Enqueue(Event{Type: EventConnect})
	}
	b := old.Export(nil)
	for n := range b {
		if err := NewEventSender(EventSenderOptions{}).Import(b[:n]); !errors.Is(err, plainval.ErrBad) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	old.queue.queue[1].id = 1
	if err := NewEventSender(EventSenderOptions{}).Import(old.Export(nil)); !errors.Is(err, plainval.ErrBad) {
		t.Errorf("out of order: %v", err)
	}
	small := NewEventSender(EventSenderOptions{Queue: 2})
	if err := small.Import(b); err != nil || small.Stats().Queued != 2 || small.Stats().Lost != 1 {
		t.Errorf("%v, %+v; want two, and one lost", err, small.Stats())
	}
}
