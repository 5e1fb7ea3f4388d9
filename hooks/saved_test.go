package hooks

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/hub"
)

// disk is a store that keeps nothing and can be full.
type disk struct {
	mu   sync.Mutex
	full bool
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *disk) Load() (hub.State, error)          { return hub.State{}, nil }
func (d *disk) Each(func(hub.Record) error) error { return nil }

func (d *disk) Commit(hub.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("/var/lib/holdfast/history: no space left on device")
	}
	return nil
}

// TestPublishIsAnsweredWhenItIsOnDisk: with a full disk that is 503, which says whether anybody gets the message; one with
// a key is asked for again and published once.
func TestPublishIsAnsweredWhenItIsOnDisk(t *testing.T) {
	d := &disk{}
	h, err := hub.Open(hub.Options{Rule: func(name string) (hub.History, bool) {
		return hub.History{Messages: map[bool]int{true: 10}[name == "kept"]}, true
	}}, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	recoveredc, endc := make(chan struct{}), make(chan struct{})
	go func() {
		h.Save(ctx, func(err error) {
			if err == nil {
				close(recoveredc)
			}
		})
		close(endc)
	}()
	defer func() { cancel(); <-endc }()
	a := start(t, "tcp", Options{Hub: h})
	publish := func(key, channel string, status int, want string) answer {
		t.Helper()
		r := a.publishWith(key, "?channel="+channel, "x")
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s to %s: %d %s; want %d %s", key, channel, r.status, r.body, status, want)
		}
		return r
	}
	publish("k-0", "kept", 200, "id")
	d.fill(true)
	publish("k-1", "kept", 503, "the message is published but not stored: a restart may lose it: /var/lib/holdfast/history: no space")
	publish("k-2", "kept", 503, "messages that must be stored are refused: /var/lib/holdfast/history: no space")
	publish("k-3", "bare", 200, "id")
	if r := publish("k-1", "kept", 503, "published but not stored"); r.header.Get(replayedHeader) != "" || r.header.Get("Retry-After") == "" {
		t.Errorf("fields %v", r.header)
	}
	if ready := a.raw(request("GET /healthz", "", "")); ready.status != 200 {
		t.Errorf("health: %d", ready.status)
	}
	d.fill(false)
	<-recoveredc
	if r := publish("k-1", "kept", 200, "id"); r.header.Get(replayedHeader) != "true" {
		t.Error("k-1 was published again")
	}
	publish("k-2", "kept", 200, "id")
	if n := a.published(); n != 4 {
		t.Errorf("%d were published", n)
	}
}
