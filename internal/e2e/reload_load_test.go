//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestReloadLoad: no client notices reloads that change rules, headers, limits and upstreams, as often as HOLDFAST_RELOADS
// says, with as many held connections as HOLDFAST_HOLDS says.
func TestReloadLoad(t *testing.T) {
	d := startDynasty(t, audienceApp, authorized, "")
	other := startApp(t, http.HandlerFunc(audienceApp))
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	x := &audience{listen: d.listen, secure: d.secure, hooks: d.hooks, stopc: make(chan struct{}), fail: t.Errorf}
	holds := number(t, "HOLDFAST_HOLDS", 300)
	x.subscribe(t, holds)
	tunnel := x.begin(t, 8, holds/5)
	reloads := number(t, "HOLDFAST_RELOADS", 5)
	begun, slowest, quarter := time.Now(), time.Duration(0), 0
	for i := range reloads {
		requests := x.requests.Load() + 100
		wiretest.Eventually(t, "requests in between", func() bool { return x.requests.Load() > requests || t.Failed() })
		more := fmt.Sprintf("headers: {X-Reload: \"%d\"}\nlimits: {max_requests_in_flight: %d}\n", i, 1000+i)
		if i%2 == 0 {
			more += fmt.Sprintf("routes: [{match: /1, upstream: %q}]\n", other)
		}
		rules := strings.Replace(string(text), "messages: 2000", fmt.Sprintf("messages: %d", 2001+i), 1)
		writeFile(t, d.config, rules+more)
		from := time.Now()
		out, err := exec.Command(executable, "reload", "-hooks", "http://"+d.hooks).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		slowest = max(slowest, time.Since(from))
		if i == reloads/4 {
			quarter = d.privateMemory(t)
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d reloads in %v, the slowest %v; private memory %d kB after a quarter of them, %d kB at the end", reloads,
		time.Since(begun).Round(time.Millisecond), slowest.Round(time.Millisecond), quarter>>10, d.privateMemory(t)>>10)
	x.end(t, tunnel)
	t.Log(x.figures())
}
