package hooks

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine is left, but for the engine's own: its clock never ends, and the
// cleaner of a client's connections takes its time.
func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.Now().Add(time.Minute)
	for code == 0 {
		left := goroutines()
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			fmt.Printf("goroutines left:\n\n%s\n", strings.Join(left, "\n\n"))
			code = 1
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Exit(code)
}

func goroutines() (left []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
next:
	for i, g := range strings.Split(string(buf), "\n\n") {
		for _, known := range []string{"testing.", "fasthttp.updateServerDate", "fasthttp.(*HostClient).connsCleaner", "os/signal."} {
			if i == 0 || strings.Contains(g, known) {
				continue next
			}
		}
		left = append(left, g)
	}
	return left
}
