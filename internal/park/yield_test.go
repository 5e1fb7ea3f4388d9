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
