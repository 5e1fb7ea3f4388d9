package wiretest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests and fails them if a goroutine or a descriptor is left. Goroutines in one of the functions
// known are the library's, and end later.
func Main(m *testing.M, known ...string) {
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if left := leftovers(before, known); left != "" {
			fmt.Fprintln(os.Stderr, left)
			code = 1
		}
	}
	os.Exit(code)
}

func leftovers(before int, known []string) string {
	var left string
	for by := time.Now().Add(Timeout); time.Now().Before(by); time.Sleep(20 * time.Millisecond) {
		runtime.GC() // the library keeps pipes for splicing in a pool that only this empties
		if left = strayGoroutines(known); left == "" {
			if now := descriptors(); now > before+1 { // the runtime's own epoll and wake-up come at first use
				left = fmt.Sprintf("%d descriptors are open, %d were before the tests", now, before)
			} else {
				return ""
			}
		}
	}
	return left
}

// strayGoroutines returns the stacks of goroutines that a test started. fasthttp's clock is one of the
// process and never ends.
func strayGoroutines(known []string) string {
	buf := make([]byte, 1<<20)
	var stray []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		switch {
		case strings.Contains(g, "leftovers("), strings.Contains(g, "testing.(*M)"),
			strings.Contains(g, "fasthttp.updateServerDate"), strings.Contains(g, "os/signal."),
			strings.Contains(g, "runtime.goexit") && strings.Count(g, "\n") < 2,
			slices.ContainsFunc(known, func(name string) bool { return strings.Contains(g, name) }):
		default:
			stray = append(stray, g)
		}
	}
	if len(stray) == 0 {
		return ""
	}
	return "goroutines left over:\n" + strings.Join(stray, "\n\n")
}

// descriptors counts the open ones, where the system tells.
func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range list {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.Contains(target, "eventpoll") && !strings.Contains(target, "eventfd") {
			n++
		}
	}
	return n
}
