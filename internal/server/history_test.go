package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/histfile"
	"holdfast/internal/wiretest"
)

// childVariable makes the test binary run as Holdfast, with this configuration file.
const childVariable = "HOLDFAST_TEST_CHILD"

// child is a Holdfast in a process of its own.
type child struct {
	addr, hooks string
	kill        func()
}

func startChild(t *testing.T, file string) *child {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	err := os.WriteFile(path, fmt.Appendf(nil, `
listen: 127.0.0.1:0
hooks: {listen: "127.0.0.1:0"}
push: {history_file: %q}
channels: [{match: "all.**", access: public, history: {messages: 100000, bytes: 64MB}}]
`, file), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+path)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	c := &child{kill: func() { once.Do(func() { cmd.Process.Kill(); io.Copy(io.Discard, errs); cmd.Wait() }) }}
	t.Cleanup(c.kill)
	lines := bufio.NewScanner(errs)
	for lines.Scan() {
		if m := regexp.MustCompile(`holdfast is up.* listen=(\S+) .*hooks=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			c.addr, c.hooks = m[1], m[2]
			return c
		}
	}
	t.Fatalf("the child did not come up: %v", lines.Err())
	return nil
}

// readTo holds, from the client's last id if it has one, until it was told of a message with this number or a later
// one, or until the connection ends.
func (c *orderClient) readTo(n int) error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(wiretest.Timeout))
	c.held = &orderConn{Conn: conn, reader: bufio.NewReader(conn)}
	if c.kind != "longpoll" {
		if err := c.ask(); err != nil {
			return err
		}
	}
	for c.seen["all.1"] < n {
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// say publishes a number and reports whether it was acknowledged.
func (o *order) say(n int) error {
	name := fmt.Sprint("all.1/", n)
	o.note([]string{name}, true)
	resp, err := http.Post("http://"+o.hooks+"/publish?channel=all.1", "text/plain", strings.NewReader(name))
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		return errors.New(resp.Status)
	}
	o.note([]string{name}, false)
	return nil
}

var resumeKinds = []string{"websocket v1", "sse", "sse v1", "longpoll"}

// TestKilledLosesNothingAcknowledged: Holdfast is killed while messages are published. Who was away, and who was there,
// comes back to one that was started after it: everything that was acknowledged comes once, without a gap, but for who
// saw a message that was never acknowledged.
func TestKilledLosesNothingAcknowledged(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	file := filepath.Join(t.TempDir(), "history")
	first := startChild(t, file)
	o := &order{addr: first.addr, hooks: first.hooks, failed: map[string]bool{}}
	client := func(kind string) *orderClient {
		return &orderClient{order: o, kind: kind, channels: []int{1}, seen: map[string]int{}, gap: map[string]bool{}}
	}
	var away, there []*orderClient
	var group, leaving sync.WaitGroup
	const before, killed = 20, 100
	for _, kind := range resumeKinds {
		a, b := client(kind), client(kind)
		away, there = append(away, a), append(there, b)
		leaving.Go(func() {
			if err := a.readTo(before); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
		group.Go(func() {
			if err := b.readTo(1 << 30); !errors.Is(err, errCut) {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
	// A long poll has no id to begin with: everybody is there before the first message.
	wiretest.Eventually(t, "all are held", func() bool {
		return strings.Contains(o.metrics(t), fmt.Sprint("\nholdfast_subscribers ", 2*len(resumeKinds), "\n"))
	})
	n, acked := 0, 0
	for n < killed {
		n++
		if err := o.say(n); err != nil {
			t.Fatal(err)
		}
		acked = n
		if n == before {
			leaving.Wait()
		}
	}
	go func() { time.Sleep(time.Millisecond); first.kill() }() // in the middle of what comes
	for {
		n++
		if o.say(n) != nil {
			break
		}
		acked = n
	}
	first.kill()
	group.Wait()

	second := startChild(t, file)
	o.addr, o.hooks = second.addr, second.hooks
	http.DefaultClient.CloseIdleConnections()
	n++
	if err := o.say(n); err != nil {
		t.Fatal(err)
	}
	for i, c := range append(away, there...) {
		newest := c.seen["all.1"]
		gaps := o.sum.gaps.Load()
		if err := c.readTo(n); err != nil {
			t.Errorf("%s, had %d of %d: %v", c.kind, newest, acked, err)
		}
		if newest <= acked && o.sum.gaps.Load() > gaps {
			t.Errorf("%s, had %d of %d: told of a gap", c.kind, newest, acked)
		}
		if i < len(away) && newest >= acked {
			t.Errorf("%s was not away", c.kind)
		}
	}
}

func (o *order) metrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://" + o.hooks + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnusableHistoryFile: the error says which key and which file.
func TestUnusableHistoryFile(t *testing.T) {
	folder := t.TempDir()
	used, text := filepath.Join(folder, "used"), filepath.Join(folder, "text")
	f, err := histfile.Open(used)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(text, bytes.Repeat([]byte("text\n"), 9999), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		used: "in use by another process", text: "not a history file", filepath.Join(folder, "none", "history"): "no such file",
	} {
		c := config.Default()
		c.Listen[0].Address.Address, c.Hooks.Listen.Address, c.Push.HistoryFile = "127.0.0.1:0", "127.0.0.1:0", path
		_, err := New(c, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), "push.history_file: ") || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
