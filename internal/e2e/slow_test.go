//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// metric returns a metric's value from the API listener.
func (h *holdfast) metric(t *testing.T, name string) int {
	t.Helper()
	resp, err := http.Get(h.hooks + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + ` (\d+)$`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no metric %s in\n%s", name, b)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// TestCostSlowHTTP is slowhttptest in its four modes with 5,000 connections: the site stays available, what
// a slow connection costs is bounded, and every one is ended by its timer while the attack still goes on.
func TestCostSlowHTTP(t *testing.T) {
	const connections = 5000
	tool := program(t, "slowhttptest", "slowhttptest")
	large := strings.Repeat("0123456789abcdef", 1<<12) // 64 kB: more than a slow reader's window
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, large)
	}))
	for _, mode := range []struct {
		name string
		cost int // bytes of private memory for each connection
		base int // besides: garbage of a rush, and buffers.total
		args []string
	}{
		{"headers", 3 << 10, 8 << 20, []string{"-H", "-i", "2"}},
		{"body", 4 << 10, 8 << 20, []string{"-B", "-i", "2", "-s", "8192"}},
		{"range", 3 << 10, 8 << 20, []string{"-R"}},
		{"read", 12 << 10, 24 << 20, []string{"-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			h := startHoldfastAt(t, freeAddr(t), freeAddr(t), func(listen, hooks string) string {
				return fmt.Sprintf("listen: %s\nupstream: %s\nhooks: {listen: %s}\ntimeouts: {header: 4s, body: 4s, send: 4s, idle: 4s}\n", listen, app, hooks)
			})
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			get := func() {
				t.Helper()
				resp, err := client.Get(h.url + "/")
				if err != nil {
					t.Fatalf("the site is not available: %v", err)
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != large {
					t.Fatalf("the site answered %d bytes: %v", len(b), err)
				}
			}
			get()
			before := h.privateMemory(t)
			cmd := exec.Command(tool, append([]string{"-c", strconv.Itoa(connections), "-r", "2500", "-l", "20", "-p", "5", "-u", h.url + "/"}, mode.args...)...)
			attack := start(t, "slowhttptest", cmd)
			peak, most := 0, 0
			ended := func() bool {
				select {
				case <-attack.done:
					return true
				default:
					return false
				}
			}
			for !ended() {
				get()
				peak = max(peak, h.metric(t, "holdfast_connections"))
				most = max(most, h.privateMemory(t))
				if h.metric(t, "holdfast_connections_accepted_total") > connections && h.metric(t, "holdfast_connections") <= 1 {
					break // all were ended, and the attack has not
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Logf("%d connections at once, %d bytes each", peak, (most-before)/max(peak, 1))
			// How many there are at once depends on how fast the tool is beside the timers; ranges are
			// answered at once.
			if came := h.metric(t, "holdfast_connections_accepted_total"); came < connections/2 || mode.name != "range" && peak < connections/10 {
				t.Errorf("only %d connections, %d at once; the attack did not take place", came, peak)
			}
			if most-before > mode.base+peak*mode.cost {
				t.Errorf("%d bytes of private memory for %d connections; want at most %d each and %d", most-before, peak, mode.cost, mode.base)
			}
			left := 0
			for range 150 { // those that the tool left behind have their timers too
				if left = h.metric(t, "holdfast_connections"); left <= 1 {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if left > 1 {
				t.Errorf("%d connections are left of the attack", left)
			}
			get()
		})
	}
}
