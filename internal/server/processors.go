package server

import (
	"os"
	"runtime"
	"sync"
)

// spareProcessors are what GOMAXPROCS has beyond the event loops: while all loops are busy, an idle processor waits for
// what Go's netpoller has for the others (docs/decisions/0007-loops-yield.md).
const spareProcessors = 2

// loops returns the number of event loops, which is that of the cores the process may use. The first call gives
// the process its spare processors, unless the environment sets GOMAXPROCS.
var loops = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n + spareProcessors)
	}
	return n
})
