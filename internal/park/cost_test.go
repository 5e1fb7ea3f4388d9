// With the race detector each wake-up of a loop allocates.

//go:build !race

package park_test

import (
	"testing"

	"holdfast/internal/park"
)

// TestPostAllocations: the lists of what is posted are used again.
func TestPostAllocations(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	l := p.Loops()[0]
	donec := make(chan struct{}, 1)
	f := func() { donec <- struct{}{} }
	if n := testing.AllocsPerRun(1000, func() { l.Post(f); <-donec }); n > 0 {
		t.Errorf("%v allocations for each Post", n)
	}
}
