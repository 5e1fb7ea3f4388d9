package apigate

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/wiretest"
)

// TestHoldWaitsForRequests checks that a request in progress ends first, and that the gate opens again if it does not.
func TestHoldWaitsForRequests(t *testing.T) {
	var g Gate
	if relay, err := g.Enter(); relay != nil || err != nil {
		t.Fatal(relay, err)
	}
	if err := g.Hold(time.Now()); !errors.Is(err, errStay) {
		t.Errorf("held with a request in progress: %v", err)
	}
	if _, err := g.Enter(); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	go func() { held <- g.Hold(time.Now().Add(time.Minute)) }()
	wiretest.Eventually(t, "it is held", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.heldc != nil })
	g.Leave()
	g.Leave()
	if err := <-held; err != nil {
		t.Error(err)
	}
	g.Release(nil)
}

// TestHeldTooLong checks that a request does not wait without end, and is not made then.
func TestHeldTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Gate{heldc: make(chan struct{})}
		begun := time.Now()
		if _, err := g.Enter(); !errors.Is(err, ErrHeld) || time.Since(begun) != MaxHold || g.inside != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
