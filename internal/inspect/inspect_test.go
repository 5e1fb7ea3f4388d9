package inspect

import (
	"errors"
	"testing"
	"time"

	"holdfast/internal/channel"
)

func TestSession(t *testing.T) {
	var s Sessions
	now := time.Unix(1000, 0)
	secret, err := s.Begin(now)
	if err != nil || len(secret) < 20 {
		t.Fatalf("secret %q, %v", secret, err)
	}
	name := s.Channel(secret, now)
	if !Owns(name) || channel.ValidSubscription(name) == nil {
		t.Errorf("the channel %q is one that a client or the app can name", name)
	}
	s.Record(secret, Request{Name: "a"}, now)
	s.Record(secret+"x", Request{Name: "b"}, now)
	if list, ok := s.Seen(secret, now); !ok || len(list) != 1 || list[0].Name != "a" {
		t.Errorf("seen %v, %v", list, ok)
	}
	for _, wrong := range []string{"", "x", secret + "x", secret[1:]} {
		if got := s.Channel(wrong, now); got != "" {
			t.Errorf("the secret %q has the channel %q", wrong, got)
		}
	}
	if got := s.End(secret, now); got != name {
		t.Errorf("ended %q, want %q", got, name)
	}
	if _, ok := s.Seen(secret, now); ok || s.Channel(secret, now) != "" || s.End(secret, now) != "" {
		t.Error("the session goes on after its end")
	}
}

func TestSessionExpires(t *testing.T) {
	var s Sessions
	now := time.Unix(1000, 0)
	secret, _ := s.Begin(now)
	later := now.Add(Lifetime + time.Second)
	if _, ok := s.Seen(secret, later); ok || s.Channel(secret, later) != "" {
		t.Error("an old secret still counts")
	}
}

func TestSessionsAreLimited(t *testing.T) {
	var s Sessions
	now := time.Unix(1000, 0)
	for range maxSessions {
		if _, err := s.Begin(now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Begin(now); !errors.Is(err, ErrBusy) {
		t.Errorf("one session too many: %v", err)
	}
	if _, err := s.Begin(now.Add(Lifetime + time.Second)); err != nil {
		t.Errorf("after the others have expired: %v", err)
	}
}

func TestRecordIsLimited(t *testing.T) {
	var s Sessions
	now := time.Unix(1000, 0)
	secret, _ := s.Begin(now)
	for range maxSeen + 10 {
		s.Record(secret, Request{}, now)
	}
	if list, _ := s.Seen(secret, now); len(list) != maxSeen {
		t.Errorf("%d requests are recorded, want %d", len(list), maxSeen)
	}
}
