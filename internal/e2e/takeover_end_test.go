//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTakeOverSuccessorDies: a process that was replaced, and still has a request, ends with an error as soon as the one that
// has taken over is killed, so that whatever has started it starts it again.
func TestTakeOverSuccessorDies(t *testing.T) {
	askedc, release := make(chan bool), make(chan struct{})
	d := startDynasty(t, func(w http.ResponseWriter, r *http.Request) {
		askedc <- true
		<-release
		fmt.Fprint(w, "ok")
	}, authorized, "timeouts: {takeover: 1h}\n")
	defer close(release)
	go func() {
		if resp, err := http.Get("http://" + d.listen + "/slow"); err == nil { // it is cut off
			resp.Body.Close()
		}
	}()
	<-askedc
	old := d.pid
	d.takeOver(t)
	if err := syscall.Kill(d.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.pid = old
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("the old process does not notice")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(d.log.String(), "nobody serves any more") {
		t.Errorf("it has ended with %d, and the log has\n%s", code, d.log)
	}
}
