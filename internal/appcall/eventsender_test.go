package appcall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/wiretest"
)

// sentEvent is an event as the app reads it.
type sentEvent struct {
	ID, Type, At, Channel, User, Connection, Transport, Reason string

	Channels []string
	Count    int
}

func readBatch(t *testing.T, body []byte) []sentEvent {
	t.Helper()
	var batch struct{ Events []sentEvent }
	if err := json.Unmarshal(body, &batch); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(batch.Events) == 0 {
		t.Fatalf("an empty batch: %s", body)
	}
	return batch.Events
}

// notebook is an app that writes down every batch it is asked to take, and responds as the test says.
type notebook struct {
	t       *testing.T
	mu      sync.Mutex
	batches [][]sentEvent
	times   []time.Time
	taken   []sentEvent                       // by the app, duplicates too
	answer  func(n int) (taken bool, e error) // of POST number n; nil: takes everything
}

var errApp = errors.New("the app fails")

func (n *notebook) post(ctx context.Context, body []byte) error {
	events := readBatch(n.t, body)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.batches = append(n.batches, events)
	n.times = append(n.times, time.Now())
	taken, err := true, error(nil)
	if n.answer != nil {
		taken, err = n.answer(len(n.batches))
	}
	if taken {
		n.taken = append(n.taken, events...)
	}
	return err
}

func words(list []sentEvent) string {
	var w []string
	for _, e := range list {
		if e.Type == EventLost {
			w = append(w, fmt.Sprintf("lost=%d", e.Count))
		} else {
			w = append(w, e.User)
		}
	}
	return strings.Join(w, " ")
}

// sender starts one that is shut down at the end of the test.
func startSender(t *testing.T, n *notebook, o EventSenderOptions) *EventSender {
	n.t = t
	if o.Post == nil {
		o.Post = n.post
	}
	sender := NewEventSender(o)
	go sender.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		sender.Shutdown(ctx)
	})
	return sender
}

// rest lets time pass, and everything happen that is due by then.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func tell(sender *EventSender, from, to int) {
	for i := from; i <= to; i++ {
		sender.Enqueue(Event{Type: EventOnline, At: time.Now(), User: fmt.Sprint(i)})
	}
}

func wantWords(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestEventText(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.FixedZone("", 3600))
	e := Event{Type: EventConnect, At: at, User: "<é>\u2028", Connection: "c", Transport: "sse", Channels: []string{"a", "b"}}
	wantWords(t, "text", string(appendEvent(nil, 1, e.encode())),
		`{"id":"0000000000001","type":"connect","at":"2026-03-04T04:06:07.089Z","user":"<é>\u2028","connection":"c","transport":"sse","channels":["a","b"]}`)
}

func TestEventSenderBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notebook
		began := time.Now()
		sender := startSender(t, &n, EventSenderOptions{Batch: 3, Delay: time.Second})
		tell(sender, 1, 2)
		rest(500 * time.Millisecond)
		if s := sender.Stats(); s.Sent > 0 || s.Queued != 2 {
			t.Fatalf("sent before the delay: %+v", s)
		}
		rest(600 * time.Millisecond)
		tell(sender, 3, 9)
		synctest.Wait()
		tell(sender, 10, 10)
		rest(2 * time.Second)
		var got []string
		for _, b := range n.batches {
			got = append(got, words(b))
		}
		wantWords(t, "batches", strings.Join(got, "; "), "1 2; 3 4 5; 6 7 8; 9 10")
		if first := n.times[0].Sub(began); first != time.Second {
			t.Errorf("the first batch went after %v", first)
		}
		var ids []string
		for _, e := range n.taken {
			ids = append(ids, e.ID)
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 10 {
			t.Errorf("ids do not grow: %v", ids)
		}
		if s := sender.Stats(); s.Queued != 0 || s.QueuedBytes != 0 || s.Sent != 10 || s.Lost != 0 || s.Failures != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// What the app does not take comes again, as it was, after a pause that grows up to half a minute.
func TestEventSenderRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log wiretest.Log
		n := notebook{answer: func(n int) (bool, error) {
			if n <= 12 {
				return n%2 == 0, errApp // also a batch that it has taken before it failed
			}
			return true, nil
		}}
		sender := startSender(t, &n, EventSenderOptions{Batch: 2, Delay: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
		tell(sender, 1, 2)
		rest(100 * time.Millisecond)
		tell(sender, 3, 5)
		rest(10 * time.Minute)
		pause := firstPause
		for i := range 12 {
			if !slices.EqualFunc(n.batches[i+1], n.batches[0], func(a, b sentEvent) bool { return a.ID == b.ID }) {
				t.Errorf("try %d has %s", i+2, words(n.batches[i+1]))
			}
			if d := n.times[i+1].Sub(n.times[i]); d < pause/2 || d > pause {
				t.Errorf("try %d came after %v, want %v to %v", i+2, d, pause/2, pause)
			}
			pause = min(2*pause, maxPause)
		}
		wantWords(t, "afterwards", words(n.taken[len(n.taken)-5:]), "1 2 3 4 5")
		if s := sender.Stats(); s.Failures != 12 || s.Sent != 5 || s.Lost != 0 || s.QueuedBytes != 0 {
			t.Errorf("stats: %+v", s)
		}
		if text := log.String(); strings.Count(text, "event webhook failed") != 12 || strings.Count(text, "event webhook works again") != 1 {
			t.Errorf("log:\n%s", text)
		}
	})
}

// Past the bound the oldest go, and the app gets their number where they are missing.
func TestEventSenderReportsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log wiretest.Log
		var fail atomic.Bool
		fail.Store(true)
		n := notebook{answer: func(int) (bool, error) {
			if fail.Load() {
				return false, errApp
			}
			return true, nil
		}}
		sender := startSender(t, &n, EventSenderOptions{Batch: 4, Delay: time.Millisecond, Queue: 10, Log: slog.New(slog.NewTextHandler(&log, nil))})
		tell(sender, 1, 4)
		synctest.Wait()
		tell(sender, 5, 13)
		if s := sender.Stats(); s.Queued != 10 || s.Lost != 3 {
			t.Errorf("stats: %+v", s)
		}
		rest(5 * time.Minute)
		tell(sender, 14, 15)
		fail.Store(false)
		rest(time.Minute)
		wantWords(t, "first try", words(n.batches[0]), "1 2 3 4")
		wantWords(t, "second try", words(n.batches[1]), "lost=3 4")
		wantWords(t, "in the end", words(n.taken), "lost=5 6 7 8 9 10 11 12 13 14 15")
		var ids []string
		for _, e := range n.taken {
			ids = append(ids, e.ID)
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 11 {
			t.Errorf("ids do not grow: %v", ids)
		}
		if s := sender.Stats(); s.Sent != 10 || s.Lost != 5 || s.Queued != 0 || s.QueuedBytes != 0 {
			t.Errorf("stats: %+v", s)
		}
		if text := log.String(); strings.Count(text, "event queue full") != 1 || strings.Count(text, "count=5") != 1 {
			t.Errorf("log:\n%s", text)
		}
	})
}

// What is on its way is not dropped: the app may be about to take it.
func TestEventQueueDropsOldestNotInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notebook
		release := make(chan error)
		sender := startSender(t, &n, EventSenderOptions{Batch: 3, Delay: 10 * time.Millisecond, Queue: 5, Post: func(ctx context.Context, body []byte) error {
			if len(n.batches) < 2 {
				n.answer = func(int) (bool, error) { return false, <-release }
			} else {
				n.answer = nil
			}
			return n.post(ctx, body)
		}})
		tell(sender, 1, 3)
		synctest.Wait()
		tell(sender, 4, 8) // 4, 5 and 6 go
		release <- errApp
		rest(time.Second)
		tell(sender, 9, 9) // 7 goes, as the three are on their way again
		release <- nil
		rest(time.Second)
		wantWords(t, "again", words(n.batches[1]), "1 2 3 lost=3")
		wantWords(t, "in the end", words(n.taken), "lost=1 8 9")
		if s := sender.Stats(); s.Lost != 4 || s.QueuedBytes != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestEventSenderLimitsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notebook
		hold := make(chan struct{})
		sender := startSender(t, &n, EventSenderOptions{Batch: 1, QueueBytes: 4000, Post: func(ctx context.Context, body []byte) error {
			<-hold
			return n.post(ctx, body)
		}})
		for range 100 {
			sender.Enqueue(Event{Type: EventOnline, User: strings.Repeat("x", 200)})
		}
		if s := sender.Stats(); s.QueuedBytes > 4000 || s.Queued < 10 || s.Lost != uint64(100-s.Queued) {
			t.Errorf("stats: %+v", s)
		}
		// One that alone is over the bound is lost, and that is reported.
		for sender.Stats().Queued > 0 {
			hold <- struct{}{}
			synctest.Wait()
		}
		n.taken = nil
		sender.Enqueue(Event{Type: EventOnline, User: strings.Repeat("x", 5000)})
		close(hold)
		rest(time.Second)
		wantWords(t, "too large", words(n.taken), "lost=1")
	})
}

func TestEventSenderShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// What waits for others, or for a pause to end, goes at once; failures have until the end.
		var log wiretest.Log
		n := notebook{answer: func(n int) (bool, error) {
			if n <= 3 {
				return false, errApp
			}
			return true, nil
		}}
		sender := startSender(t, &n, EventSenderOptions{Batch: 2, Delay: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
		tell(sender, 1, 5)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		sender.Shutdown(ctx)
		wantWords(t, "flushed", words(n.taken), "1 2 3 4 5")
		if strings.Contains(log.String(), "lost at shutdown") {
			t.Errorf("log:\n%s", log.String())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// An app that hangs is not waited for.
		var log wiretest.Log
		var n notebook
		sender := startSender(t, &n, EventSenderOptions{Log: slog.New(slog.NewTextHandler(&log, nil)), Post: func(ctx context.Context, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		tell(sender, 1, 3)
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		sender.Shutdown(ctx)
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("shut down after %v", d)
		}
		if !strings.Contains(log.String(), "accept them\" count=3") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// However the app fails: below the bound each event is sent, in order, and above it each is sent or counted
// as lost. An app that drops what it has seen before has the order of telling.
func TestEventSenderProperty(t *testing.T) {
	for _, queue := range []int{100_000, 20} {
		synctest.Test(t, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			var calm atomic.Bool
			n := notebook{answer: func(int) (bool, error) {
				if calm.Load() || random.IntN(3) > 0 {
					return true, nil
				}
				time.Sleep(time.Duration(random.IntN(3)) * time.Second)
				return random.IntN(2) == 0, errApp
			}}
			sender := startSender(t, &n, EventSenderOptions{Batch: 7, Delay: 50 * time.Millisecond, Queue: queue})
			const events, users = 3000, 5
			var group sync.WaitGroup
			for user := range users {
				group.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(user)))
					for i := range events / users {
						sender.Enqueue(Event{Type: EventOnline, User: fmt.Sprint(user), Transport: fmt.Sprint(i)})
						time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
					}
				})
			}
			group.Wait()
			calm.Store(true)
			rest(time.Hour)
			seen := make(map[string]bool)
			next := make(map[string]int)
			have, last := 0, ""
			for _, e := range n.taken {
				if e.Type == EventLost || seen[e.ID] {
					continue
				}
				seen[e.ID] = true
				have++
				var i int
				if _, err := fmt.Sscan(e.Transport, &i); err != nil || i < next[e.User] || e.ID <= last {
					t.Fatalf("event %d of user %s came after %d: %v", i, e.User, next[e.User], err)
				}
				next[e.User], last = i+1, e.ID
			}
			s := sender.Stats()
			if queue > events && (have != events || s.Lost > 0) || have+int(s.Lost) < events || s.Queued > 0 || s.QueuedBytes != 0 {
				t.Errorf("%d of %d events came, %+v", have, events, s)
			}
			if queue < events && s.Lost == 0 {
				t.Error("nothing was lost; the bound was not reached")
			}
		})
	}
}
