//go:build e2e && linux

package e2e

import (
	"os/exec"
	"testing"
)

// TestWineOutputOfServices: a program that ends while another one has its output, as wine's services have, is not waited for
// any longer.
func TestWineOutputOfServices(t *testing.T) {
	const script = "sleep 600 & echo $!"
	pid, err := wineOutput(t, exec.Command("sh", "-c", script))
	if err != nil || pid == "" {
		t.Fatalf("%q, %v", pid, err)
	}
	run(t, exec.Command("sh", "-c", "kill "+pid))

	w := exec.Command("sh", "-c", script)
	w.WaitDelay = wineDelay
	p := start(t, "sh", w)
	<-p.done
	if !w.ProcessState.Success() {
		t.Errorf("%v", w.ProcessState)
	}
	run(t, exec.Command("sh", "-c", "kill "+p.log.String()))
}
