package server

import (
	"os"
	"runtime"
	"testing"
)

// TestSpareProcessors checks that every server has the same number of loops and that they leave processors idle.
func TestSpareProcessors(t *testing.T) {
	want := loops() + spareProcessors
	if os.Getenv("GOMAXPROCS") != "" {
		want = loops()
	}
	for range 2 {
		if n := loops(); runtime.GOMAXPROCS(0) != want || n != loops() {
			t.Errorf("%d loops on %d processors; want %d processors", n, runtime.GOMAXPROCS(0), want)
		}
	}
}
