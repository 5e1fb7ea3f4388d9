package auth

import (
	"bytes"
	"fmt"
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

type answering func(Request) (Result, error)

func (f answering) Authorize(r Request) (Result, error) { return f(r) }

// TestServiceKnowsEverySession: the sessions that the app sets while it is asked count as the client's, and a client with
// more of them than are known is not let in, as the end of one would go unnoticed.
func TestServiceKnowsEverySession(t *testing.T) {
	for _, tt := range []struct {
		sets    int
		allowed bool
	}{{0, true}, {1, true}, {MaxCredentials - 2, true}, {MaxCredentials - 1, false}, {3 * MaxCredentials, false}} {
		var set []string
		for i := range tt.sets {
			set = append(set, fmt.Sprintf("login_%d=%d; Path=/", i, i))
		}
		var text bytes.Buffer
		s := NewService(ServiceOptions{
			NewPool: func(int, int) Pool { return &fullPool{} }, Log: slog.New(slog.NewTextHandler(&text, nil)), LogoutCookies: []string{"login_*"},
			Authorizer: answering(func(Request) (Result, error) { return Result{Allowed: true, SetCookie: set}, nil }),
		})
		r := &Request{Cookie: "login_a=a; login_b=b"}
		subject := Subject{Credentials: s.credentialsOf(r)}
		var seq uint64
		result, err := s.Ask(r, &subject, &seq, nil)
		if (err == nil && result.Allowed) != tt.allowed || tt.allowed == (s.Stats().Errors > 0) || tt.allowed != (text.Len() == 0) {
			t.Errorf("%d set: %+v, %v, logged %q", tt.sets, result, err, text.String())
		}
		if tt.allowed && tt.sets > 0 && len(subject.Credentials) < 2+tt.sets {
			t.Errorf("%d set: %d sessions are known", tt.sets, len(subject.Credentials))
		}
	}
}
