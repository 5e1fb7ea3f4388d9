package auth

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// fullPool runs as many functions as it has room for, and no more after them.
type fullPool struct{ room int }

func (p *fullPool) Go(f func()) bool {
	if p.room--; p.room < 0 {
		return false
	}
	f()
	return true
}

func (p *fullPool) Waiting() int { return 5 }

// TestServiceQueueFull: what finds no place is refused at once, counted, and logged once a minute.
func TestServiceQueueFull(t *testing.T) {
	var text bytes.Buffer
	var workers, queue int
	s := NewService(ServiceOptions{
		NewPool: func(w, q int) Pool { workers, queue = w, q; return &fullPool{room: 2} },
		Log:     slog.New(slog.NewTextHandler(&text, nil)),
	})
	if workers != defaultInFlight || queue != queueLength {
		t.Errorf("a pool of %d workers and %d places", workers, queue)
	}
	ran := 0
	for i := range 5 {
		if got := s.Go(func() { ran++ }); got != (i < 2) {
			t.Errorf("function %d: %v", i, got)
		}
	}
	if n, lines := s.Stats().QueueFull, strings.Count(text.String(), "push.authorize_in_flight"); ran != 2 || n != 3 || lines != 1 {
		t.Errorf("%d ran, %d refused, %d log lines; want 2, 3 and 1", ran, n, lines)
	}
	if n := s.Stats().Queued; n != 5 {
		t.Errorf("%d wait; want 5", n)
	}
}

// TestServiceWithoutApp: a service that can ask nobody allows nobody.
func TestServiceWithoutApp(t *testing.T) {
	var text bytes.Buffer
	s := NewService(ServiceOptions{NewPool: func(int, int) Pool { return &fullPool{} }, Log: slog.New(slog.NewTextHandler(&text, nil))})
	var seq uint64
	if r, err := s.Ask(new(Request), new(Subject), &seq, nil); err == nil || r.Allowed || s.Available() {
		t.Errorf("%+v, %v", r, err)
	}
	if s.Stats().Errors != 1 || !strings.Contains(text.String(), "authorization request failed") {
		t.Errorf("counted %d, logged %q", s.Stats().Errors, text.String())
	}
}
