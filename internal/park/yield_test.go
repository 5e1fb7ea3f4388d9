//go:build linux && !park_plain

package park

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestBusyLoopYields keeps a loop busy without a pause: it must still call the scheduler, or what waits in Go's
// netpoller is only found by the runtime's monitor.
func TestBusyLoopYields(t *testing.T) {
	var yields atomic.Int64
	yield = func() { yields.Add(1); runtime.Gosched() }
	t.Cleanup(func() { yield = runtime.Gosched })
	p, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { p.Serve() })
	var rounds int64
	donec := make(chan struct{})
	loop := p.Loops()[0]
	var again func()
	again = func() {
		if rounds++; yields.Load() >= 3 {
			close(donec)
			return
		}
		loop.Later(again)
	}
	loop.Post(again)
	<-donec // a loop that does not yield never comes here, and the test's time limit says so
	p.Shutdown()
	serving.Wait()
	if rounds < yields.Load() {
		t.Errorf("%d yields in %d rounds; want less than one a round", yields.Load(), rounds)
	}
}

// TestWokenLoopYields: a loop that was asleep calls the scheduler after its work, before it waits in the kernel, so that
// others are found whose thread it may have taken. The turn ends by itself, after blockTime.
func TestWokenLoopYields(t *testing.T) {
	ran, yields := false, 0
	yield = func() {
		if yields++; !ran {
			t.Error("the loop yields before its work")
		}
	}
	t.Cleanup(func() { yield = runtime.Gosched })
	p, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := p.Loops()[0]
	defer l.sysClose()
	l.sys.waits = true
	l.Post(func() { ran = true })
	if l.turn() || !ran {
		t.Fatal("the turn does not end as it should")
	}
	if yields == 0 {
		t.Error("the loop does not yield")
	}
}
