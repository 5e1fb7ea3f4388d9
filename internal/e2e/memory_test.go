//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// procBytes returns the sum of the values, in bytes, of these fields of a file in the process's
// folder of /proc.
func (p *process) procBytes(t *testing.T, file string, fields ...string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, field := range fields {
		m := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+) kB$`).FindSubmatch(data)
		if m == nil {
			t.Fatalf("no %s in %s:\n%s", field, file, data)
		}
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n << 10
	}
	return sum
}

// peakMemory is the most that the process has ever had resident, its program text included.
func (p *process) peakMemory(t *testing.T) int {
	t.Helper()
	return p.procBytes(t, "status", "VmHWM")
}

// privateMemory is what the process shares with no other.
func (p *process) privateMemory(t *testing.T) int {
	t.Helper()
	return p.procBytes(t, "smaps_rollup", "Private_Clean", "Private_Dirty")
}

// settledMemory waits, by calling pass, until the private memory has not fallen for some seconds:
// a Go program gives garbage back to the system only after a while.
func (p *process) settledMemory(t *testing.T, pass func(time.Duration)) int {
	t.Helper()
	least, unchanged := p.privateMemory(t), 0
	for range 120 {
		pass(250 * time.Millisecond)
		if now := p.privateMemory(t); now < least {
			least, unchanged = now, 0
		} else if unchanged++; unchanged == 12 {
			break
		}
	}
	return least
}

// goroutines asks the API listener for the number of goroutines.
func (h *holdfast) goroutines(t *testing.T) int {
	t.Helper()
	v := newVisitor(t, h.hooks)
	defer v.http.CloseIdleConnections() // a connection to the API has a goroutine
	a := v.get("/metrics")
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)$`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no go_goroutines in the metrics\n%s", a.body)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitGoroutines waits until there are no more than most, which takes a moment after a rush.
func (h *holdfast) waitGoroutines(t *testing.T, most int) int {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		n := h.goroutines(t)
		if n <= most {
			return n
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, want at most %d", n, most)
			return n
		}
		time.Sleep(100 * time.Millisecond)
	}
}

const (
	many          = 10_000
	mostRoutines  = 20
	idleCost      = 1000 // bytes of private memory for each idle keep-alive connection
	heldCost      = 2000 // and for each held WebSocket, SSE stream or long poll
	costOfChannel = "public.crowd"
)

// testCost opens many connections and wants the process to have grown by at most cost for each.
// It returns with all of them still open.
func testCost(t *testing.T, h *holdfast, cost int, open func(c *crowd, n int)) *crowd {
	t.Helper()
	// The first clients pay for what the process allocates once.
	warmup := newCrowd(t, h.addr)
	open(warmup, 200)
	warmup.close()
	before := h.settledMemory(t, time.Sleep)

	c := newCrowd(t, h.addr)
	began := time.Now()
	open(c, many)
	opened := time.Since(began)
	rushed := h.privateMemory(t)
	after := h.settledMemory(t, c.pass)
	if n := c.alive(); n != many {
		t.Fatalf("%d of %d connections are still open", n, many)
	}
	routines := h.waitGoroutines(t, mostRoutines)
	each := (after - before) / many
	t.Logf("%d connections, opened in %v: %d B of private memory each (%d kB before, %d kB after the rush, %d kB settled), %d goroutines",
		many, opened.Round(time.Millisecond), each, before>>10, rushed>>10, after>>10, routines)
	if each > cost {
		t.Errorf("each connection costs %d B, want at most %d", each, cost)
	}
	return c
}

func TestCostIdleKeepAlive(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s", r.URL.Path)
	}))
	h := startHoldfast(t, app, "")
	request := func(i int) string { return fmt.Sprintf("GET /client/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, h.addr) }
	answered := func(i int) string { return fmt.Sprintf("\r\n\r\nyou asked for /client/%d", i) }
	c := testCost(t, h, idleCost, func(c *crowd, n int) { c.open(n, request, answered) })

	// They are idle, not forgotten: each can ask again.
	again := func(i int) string { return fmt.Sprintf("GET /again/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, h.addr) }
	c.send(again, func(i int) string { return fmt.Sprintf("\r\n\r\nyou asked for /again/%d", i) })
	c.close()
	h.waitGoroutines(t, mostRoutines)
}

func TestCostHeld(t *testing.T) {
	push := "GET /_push?wait=120&channel=" + costOfChannel + " HTTP/1.1\r\nHost: %s\r\n%s\r\n"
	for name, kind := range map[string]struct{ header, begun string }{
		"websocket": {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aG9sZGZhc3QgY3Jvd2QuLg==\r\n", "\r\n\r\n"},
		"sse":       {"Accept: text/event-stream\r\n", "\r\n\r\n"},
		"long poll": {"Accept: application/json\r\n", ""}, // no answer while it is held
	} {
		t.Run(name, func(t *testing.T) {
			h := startHoldfast(t, "http://"+freeAddr(t), "")
			request := func(int) string { return fmt.Sprintf(push, h.addr, kind.header) }
			begun := func(int) string { return kind.begun }
			c := testCost(t, h, heldCost, func(c *crowd, n int) {
				c.open(n, request, begun)
				h.waitSubscribers(t, costOfChannel, n)
			})
			c.forget()

			began := time.Now()
			const message = "one message for all of them"
			if p := h.publish(t, costOfChannel, message); p.Subscribers != many {
				t.Errorf("published to %d subscribers, want %d", p.Subscribers, many)
			}
			accepted := time.Since(began)
			c.wait(func(int) string { return message })
			t.Logf("a message to all of them was accepted in %v and had reached the last in %v",
				accepted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))

			c.close()
			h.waitSubscribers(t, costOfChannel, 0)
			h.waitGoroutines(t, mostRoutines)
		})
	}
}
