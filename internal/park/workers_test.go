package park_test

import (
	"slices"
	"sync"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// TestWorkersCeiling: so many run at once, so many wait in their order, and the next is refused.
func TestWorkersCeiling(t *testing.T) {
	const most, queue = 3, 4
	p := start(t, park.Options{Loops: 1, Workers: most, Queue: queue})
	freec := make(chan struct{})
	var mu sync.Mutex // guards what follows
	running, peak := 0, 0
	var ran []int
	work := func(n int) func() {
		return func() {
			mu.Lock()
			running++
			peak = max(peak, running)
			ran = append(ran, n)
			mu.Unlock()
			<-freec
			mu.Lock()
			running--
			mu.Unlock()
		}
	}
	for n := range most + queue {
		if !p.Go(work(n)) {
			t.Fatalf("call %d was refused", n)
		}
	}
	if p.Go(func() { t.Error("what was refused ran") }) {
		t.Error("a call beyond the queue was taken")
	}
	wiretest.Eventually(t, "the ceiling is reached", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return running == most
	})
	if s := p.Stats(); s.Workers != most || s.Queued != queue {
		t.Errorf("%+v", s)
	}
	for range most + queue {
		freec <- struct{}{}
	}
	wiretest.Eventually(t, "all have run", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(ran) == most+queue && running == 0
	})
	if peak != most {
		t.Errorf("%d ran at once, the ceiling is %d", peak, most)
	}
	if seen := slices.Sorted(slices.Values(ran)); !slices.Equal(seen, []int{0, 1, 2, 3, 4, 5, 6}) {
		t.Errorf("ran %v", ran)
	}
	if s := p.Stats(); s.Queued != 0 || s.Workers > most {
		t.Errorf("afterwards: %+v", s)
	}
}

// TestWorkersQueueOrder: what waits runs in the order of the calls.
func TestWorkersQueueOrder(t *testing.T) {
	p := start(t, park.Options{Loops: 1, Workers: 1})
	freec, donec := make(chan struct{}), make(chan struct{})
	p.Go(func() { <-freec })
	var ran []int // owned by the only worker
	for n := range 100 {
		p.Go(func() { ran = append(ran, n) })
	}
	p.Go(func() { close(donec) })
	close(freec)
	<-donec
	if len(ran) != 100 || !slices.IsSorted(ran) {
		t.Errorf("ran %v", ran)
	}
}

// TestWorkersPanic: a panic is counted, and its worker goes on.
func TestWorkersPanic(t *testing.T) {
	p := start(t, park.Options{Loops: 1, Workers: 1})
	for n := range int64(3) {
		donec := make(chan struct{})
		p.Go(func() { panic("a worker's mistake") })
		p.Go(func() { close(donec) })
		<-donec
		if s := p.Stats(); s.Panics != n+1 || s.Workers != 1 {
			t.Errorf("after %d panics: %+v", n+1, s)
		}
	}
}

// TestWorkersAreUsedAgain: calls that come one after the other need one worker.
func TestWorkersAreUsedAgain(t *testing.T) {
	p := start(t, park.Options{Loops: 1, Workers: 50})
	for range 500 {
		donec := make(chan struct{})
		p.Go(func() { close(donec) })
		<-donec
	}
	if n := p.Stats().Workers; n > 10 {
		t.Errorf("%d workers for one call at a time", n)
	}
}

// TestWorkersAtShutdown: what was taken runs before Serve returns, and nothing is taken after.
func TestWorkersAtShutdown(t *testing.T) {
	p, err := park.New(park.Options{Loops: 1, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	freec := make(chan struct{})
	var mu sync.Mutex // guards ran
	ran := 0
	for range 20 {
		p.Go(func() {
			<-freec
			mu.Lock()
			ran++
			mu.Unlock()
		})
	}
	p.Shutdown()
	if p.Go(func() {}) {
		t.Error("Go takes work after Shutdown")
	}
	select {
	case <-donec:
		t.Error("Serve returned before the workers had")
	default:
	}
	close(freec)
	<-donec
	if ran != 20 {
		t.Errorf("%d of 20 ran", ran)
	}
}

// TestPoolWhileServing: a pool that is made while the poller serves ends with it, and one that is made afterwards takes
// nothing.
func TestPoolWhileServing(t *testing.T) {
	p, err := park.New(park.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	servedc := make(chan error, 1)
	go func() { servedc <- p.Serve() }()
	pool, endc := p.NewPool(1, 0), make(chan struct{})
	if !pool.Go(func() { <-endc }) || pool.Go(func() {}) {
		t.Error("a pool of one does not take one")
	}
	p.Shutdown()
	if late := p.NewPool(1, 1); late.Go(func() {}) {
		t.Error("a pool of a poller that has ended takes work")
	}
	select {
	case <-servedc:
		t.Error("the poller has ended before the work of its pool")
	default:
	}
	close(endc)
	<-servedc
	if pool.Go(func() {}) {
		t.Error("a pool that has ended takes work")
	}
}
