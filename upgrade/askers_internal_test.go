package upgrade

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"holdfast/internal/park"
)

// TestAuthorizeQueueFull: what finds no place is refused at once, counted, and logged once a minute.
func TestAuthorizeQueueFull(t *testing.T) {
	poller, err := park.New(park.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	var text bytes.Buffer
	a := newAskers(&Options{Asking: 1, Poller: poller, Log: slog.New(slog.NewTextHandler(&text, nil))})
	go func() { defer close(donec); _ = poller.Serve() }()
	t.Cleanup(func() { poller.Shutdown(); <-donec })
	free := make(chan struct{})
	defer close(free)
	for range askersLine + 1 {
		if !a.run(func() { <-free }) {
			t.Fatalf("refused with %d queued", a.pool.Waiting())
		}
	}
	for range 3 {
		if a.run(func() {}) {
			t.Fatalf("taken with %d queued", a.pool.Waiting())
		}
	}
	if n, lines := a.failed.Total(), strings.Count(text.String(), "push.authorize_in_flight"); n != 3 || lines != 1 {
		t.Errorf("%d refused, %d log lines; want 3 and 1", n, lines)
	}
}
