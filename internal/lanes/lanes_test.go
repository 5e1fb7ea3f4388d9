package lanes

import (
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// subscriber counts what it gets, or panics.
type subscriber struct {
	membership hub.Membership
	got        int
	faulty     bool
}

func (s *subscriber) Membership() *hub.Membership { return &s.membership }

func (s *subscriber) Deliver(batch []*hub.Message) {
	if s.faulty {
		panic("faulty")
	}
	s.got += len(batch)
}

// TestDrain checks that all is delivered, and that an error says what was not.
func TestDrain(t *testing.T) {
	p, err := park.New(park.Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	defer func() { p.Shutdown(); <-donec }()
	stuck := true
	h := hub.New(hub.Options{Lanes: 2})
	h.OnLarge(func(_ *hub.Message, done func()) bool {
		if !stuck {
			done()
		}
		return true
	})
	one, two := &subscriber{}, &subscriber{}
	h.Lane(0).Join(one, []string{"a"}, 0, false)
	h.Lane(1).Join(two, []string{"a", "b"}, 0, false)
	publish := func(channel, data string) {
		t.Helper()
		if _, err := h.Publish([]hub.Draft{{Channels: []string{channel}, Data: []byte(data)}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		publish("a", "x")
	}
	publish("b", "x")
	if err := Drain(h, p, time.Now().Add(wiretest.Timeout)); err != nil || one.got != 100 || two.got != 101 {
		t.Errorf("%v; %d and %d are delivered", err, one.got, two.got)
	}
	publish("b", strings.Repeat("x", 64<<10)) // no worker renders it
	if err := Drain(h, p, time.Now()); !errors.Is(err, ErrBusy) {
		t.Errorf("%v; want %v", err, ErrBusy)
	}
	stuck, one.faulty = false, true
	publish("a", "x")
	if err := Drain(h, p, time.Now().Add(wiretest.Timeout)); err == nil || !strings.Contains(err.Error(), "faulty") {
		t.Errorf("%v; want the panic", err)
	}
}
