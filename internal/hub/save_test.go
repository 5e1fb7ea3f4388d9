package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a store that lasts as long as the test and may fail or take its time.
type memory struct {
	gatec chan struct{} // if not nil, Commit waits for it; set before use

	mu      sync.Mutex // guards what follows
	state   State
	records []Record
	batches int
	err     error
	reports []error
}

func (s *memory) report(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, err)
}

func (s *memory) told() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports
}

// count returns how many batches were taken, and the newest id in the last.
func (s *memory) count() (batches int, last ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches, s.state.Runs[len(s.state.Runs)-1].Last
}

func (s *memory) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *memory) Load() (State, error) { return s.state, nil }

func (s *memory) Each(f func(Record) error) error {
	for _, r := range s.records {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *memory) Commit(b Batch) error {
	if s.gatec != nil {
		<-s.gatec
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.batches++
	if b.Begin != nil {
		s.state.Runs = append(s.state.Runs, b.Run)
		if b.Begin.Reset {
			s.state.Origin, s.state.Rules, s.state.Lost = b.Begin.Origin, b.Begin.Rules, map[uint32]ID{}
		}
	}
	s.state.Runs[len(s.state.Runs)-1] = b.Run
	s.state.Reserved = b.Reserved
	for _, c := range b.Changes {
		switch c.Op {
		case Keep:
			s.records = append(s.records, c.Record)
		case Drop:
			for i, r := range s.records {
				if r.ID == c.ID && r.Channel == c.Channel {
					s.records = append(s.records[:i:i], s.records[i+1:]...)
					break
				}
			}
		case Lose:
			s.state.Lost[c.Slot] = max(s.state.Lost[c.Slot], c.ID)
		}
	}
	return nil
}

func (s *memory) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var words []string
	for _, r := range s.records {
		words = append(words, r.Channel+":"+string(r.Data))
	}
	return strings.Join(words, " ")
}

func openHub(t *testing.T, s Store, n int) *Hub {
	t.Helper()
	h, err := Open(Options{Rule: keep(n)}, s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestPublishersShareAWrite: those that come while a batch is written are in the next one, and each waits for its own.
func TestPublishersShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		h := openHub(t, s, 10)
		s.gatec = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		endc := make(chan struct{})
		go func() { h.Save(ctx, func(err error) { t.Error(err) }); close(endc) }()
		opened, _ := s.count()
		var answered atomic.Int32
		publish := func(name string) {
			r, err := h.Publish([]Draft{{Channels: []string{name}}})
			if err == nil {
				err = h.Saved(t.Context(), r)
			}
			if err != nil {
				t.Error(err)
			}
			answered.Add(1)
		}
		go publish("kept")
		synctest.Wait()
		for range 9 { // the store is busy with the first
			go publish("kept")
		}
		synctest.Wait()
		if answered.Load() != 0 {
			t.Errorf("%d were answered before anything was written", answered.Load())
		}
		publish("bare")
		if answered.Load() != 1 {
			t.Error("what is not kept has to wait")
		}
		s.gatec <- struct{}{}
		synctest.Wait()
		if answered.Load() != 2 {
			t.Errorf("%d were answered when the first was written", answered.Load())
		}
		s.gatec <- struct{}{}
		synctest.Wait()
		if batches, _ := s.count(); answered.Load() != 11 || batches != opened+2 {
			t.Errorf("%d were answered, in %d batches", answered.Load(), batches-opened)
		}
		close(s.gatec)
		cancel()
		<-endc
	})
}

// TestUnawaitedWritesAreDoneSoon: ids of what is not kept, and what goes by age.
func TestUnawaitedWritesAreDoneSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		h, err := Open(Options{Rule: func(name string) (History, bool) {
			if name == "kept" {
				return History{Messages: 10, Age: time.Minute}, true
			}
			return History{}, true
		}}, s)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		endc := make(chan struct{})
		go func() { h.Save(ctx, func(err error) { t.Error(err) }); close(endc) }()
		say(t, h, "a", "kept")
		id := say(t, h, "b", "bare")
		time.Sleep(saveEvery + 1)
		synctest.Wait()
		batches, last := s.count()
		if last != id {
			t.Errorf("written up to %v, want %v", last, id)
		}
		time.Sleep(10 * saveEvery)
		synctest.Wait()
		if n, _ := s.count(); n != batches {
			t.Error("nothing is written again and again")
		}
		want(t, "kept", s.text(), "kept:a")
		time.Sleep(time.Minute)
		h.Sweep(time.Now())
		time.Sleep(saveEvery + 1)
		synctest.Wait()
		want(t, "kept", s.text(), "")
		cancel()
		<-endc
	})
}

// TestStoreFailure: publishers that wait get the error, messages that have to be stored are refused, the others are
// delivered; and when the store can be written again, everything that was accepted gets there.
func TestStoreFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		h := openHub(t, s, 10)
		ctx, cancel := context.WithCancel(t.Context())
		endc := make(chan struct{})
		go func() { h.Save(ctx, s.report); close(endc) }()
		full := errors.New("disk full")
		s.fail(full)
		r, err := h.Publish([]Draft{{Channels: []string{"kept"}, Data: []byte("a")}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Saved(t.Context(), r); !errors.Is(err, ErrUnsaved) || !errors.Is(err, full) {
			t.Errorf("the first: %v", err)
		}
		if _, err := h.Publish([]Draft{{Channels: []string{"bare"}}, {Channels: []string{"bare", "kept"}}}); !errors.Is(err, ErrStore) || !errors.Is(err, full) {
			t.Errorf("the next: %v", err)
		}
		if r, err := h.Publish([]Draft{{Channels: []string{"bare"}}}); err != nil || h.Saved(t.Context(), r) != nil {
			t.Errorf("what is not kept: %v", err)
		}
		time.Sleep(5 * saveEvery)
		synctest.Wait()
		if reports := s.told(); len(reports) != 1 || !errors.Is(reports[0], full) {
			t.Errorf("reported %v", reports)
		}
		s.fail(nil)
		time.Sleep(saveEvery)
		synctest.Wait()
		if err := h.Saved(t.Context(), r); err != nil {
			t.Errorf("the first, asked again: %v", err)
		}
		say(t, h, "b", "kept")
		cancel()
		<-endc
		want(t, "in the store", s.text(), "kept:a kept:b")
		if reports := s.told(); len(reports) != 2 || reports[1] != nil {
			t.Errorf("reported %v", reports)
		}
		if st := h.Stats(); st.Unsaved != 0 || st.SaveErrors < 5 || st.Saves != 2 || st.Refused != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// TestSlowStore: publishers are refused when too much waits for it, and told when theirs takes too long.
func TestSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		h, err := Open(Options{Rule: keep(1000), Backlog: 10_000}, s)
		if err != nil {
			t.Fatal(err)
		}
		s.gatec = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		endc := make(chan struct{})
		go func() { h.Save(ctx, func(error) {}); close(endc) }()
		var receipts []Receipt
		for i := 0; err == nil; i++ {
			var r []Receipt
			if r, err = h.Publish([]Draft{{Channels: []string{"kept"}, Data: make([]byte, 1000)}}); err == nil {
				receipts = r
			}
			if i > 20 {
				t.Fatal("everything was accepted")
			}
		}
		if !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := h.Saved(short, receipts); !errors.Is(err, ErrUnsaved) {
			t.Errorf("after a second: %v", err)
		}
		close(s.gatec)
		if err := h.Saved(t.Context(), receipts); err != nil {
			t.Error(err)
		}
		say(t, h, "x", "kept")
		cancel()
		<-endc
	})
}

// TestRunWithAHoleIsNotShown: of what a store has, only what is whole.
func TestRunWithAHoleIsNotShown(t *testing.T) {
	s := &memory{}
	h := openHub(t, s, 10)
	var ids []ID
	for i := range 4 {
		ids = append(ids, say(t, h, fmt.Sprint(i), "kept"))
	}
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	s.records = append(s.records[:1:1], s.records[2:]...)
	h = openHub(t, s, 10)
	check(t, h)
	var c recorder
	r := h.Lane(0).Join(&c, []string{"kept"}, ids[0]-1, true)
	want(t, "replayed", texts(r.Messages), "kept:2 kept:3")
	if len(r.Gaps) != 1 || r.Gaps[0].Through != ids[1] {
		t.Errorf("gaps %v", r.Gaps)
	}
	want(t, "left in the store", s.text(), "kept:2 kept:3")
}

// TestRunsAreBounded: an id of long ago is not known any more, and that is a gap.
func TestRunsAreBounded(t *testing.T) {
	s := &memory{}
	h := openHub(t, s, 10)
	id := say(t, h, "a", "kept")
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	gaps := func() int {
		var c recorder
		defer h.Lane(0).Leave(&c)
		return len(h.Lane(0).Join(&c, []string{"kept"}, id, true).Gaps)
	}
	h = openHub(t, s, 10)
	if n := gaps(); n != 0 {
		t.Errorf("%d gaps after a restart", n)
	}
	for i := range maxRuns {
		s.state.Runs = append(s.state.Runs, Run{h.last + ID(i+1), h.last + ID(i+1)})
	}
	s.state.Reserved += maxRuns
	h = openHub(t, s, 10)
	if n := gaps(); n != 1 || len(h.saving.runs) != maxRuns {
		t.Errorf("%d gaps after %d restarts, of which %d are known", n, maxRuns, len(h.saving.runs))
	}
}

// TestForeignStore: of a store that may lack messages no client's id is good, and what is kept is replayed all the same.
func TestForeignStore(t *testing.T) {
	s := &memory{}
	h := openHub(t, s, 10)
	id := say(t, h, "a", "kept")
	say(t, h, "b", "kept")
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []bool{false, true} {
		s.state.Foreign = foreign
		h = openHub(t, s, 10)
		var c recorder
		r := h.Lane(0).Join(&c, []string{"kept"}, id, true)
		want(t, "replay", texts(r.Messages), "kept:b")
		if got := len(r.Gaps) > 0; got != foreign {
			t.Errorf("foreign: %v; gaps %v", foreign, r.Gaps)
		}
	}
}

// TestCopiesOfAStore: of two processes that go on from the same state at the same time, neither takes an id of the other
// for its own.
func TestCopiesOfAStore(t *testing.T) {
	s := &memory{}
	openHub(t, s, 10)
	copied := &memory{state: s.state}
	a, b := openHub(t, s, 10), openHub(t, copied, 10)
	for range 10 {
		say(t, a, "x", "kept")
		say(t, b, "x", "kept")
	}
	id := say(t, a, "x", "kept")
	var c recorder
	if r := a.Lane(0).Join(&c, []string{"kept"}, id, true); len(r.Gaps) > 0 {
		t.Errorf("its own id has gaps %v", r.Gaps)
	}
	for range 10 {
		say(t, b, "x", "kept")
	}
	var d recorder
	if r := b.Lane(0).Join(&d, []string{"kept"}, id, true); len(r.Gaps) != 1 {
		t.Errorf("the other's id has gaps %v", r.Gaps)
	}
}
