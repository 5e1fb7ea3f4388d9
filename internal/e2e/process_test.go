//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen. It is long because a slow machine is
// not a failure; a test that waits for the whole of it fails.
const patience = 60 * time.Second

// process is a program that a test has started and that ends with the test.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *logBuffer    // what it wrote to stdout and stderr
	done chan struct{} // closed when it has ended
	err  error         // of Wait; valid once done is closed
}

// start runs cmd as a process group of its own, which ends with the test.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, log: newLogBuffer(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := startOnLastingThread(cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go p.wait()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("what %s wrote:\n%s", name, p.log.tail(200))
		}
	})
	return p
}

func (p *process) wait() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// stop asks the process to end with SIGTERM and waits until it has. It may be called again.
func (p *process) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Errorf("%s runs on %v after SIGTERM", p.name, patience)
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// waitUntil polls ready until it returns nil, and fails the test if the process ends before that.
func (p *process) waitUntil(t *testing.T, ready func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended (%v) before it was ready:\n%s", p.name, p.err, p.log.tail(100))
		case <-ctx.Done():
			t.Fatalf("%s is not ready after %v: %v", p.name, patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waitListening waits until the process accepts connections at addr.
func (p *process) waitListening(t *testing.T, addr string) {
	t.Helper()
	p.waitUntil(t, func() error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// The kernel sends Pdeathsig when the thread that forked ends, not the process, so all processes
// are forked by one thread that lives as long as the tests do.
var forks = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go forkOnLastingThread(c)
	return c
})

func forkOnLastingThread(c <-chan func()) {
	runtime.LockOSThread()
	for f := range c {
		f()
	}
}

func startOnLastingThread(cmd *exec.Cmd) error {
	errc := make(chan error)
	forks() <- func() { errc <- cmd.Start() }
	return <-errc
}

// logBuffer keeps what a process writes.
type logBuffer struct {
	mu    sync.Mutex
	data  []byte
	grown chan struct{} // closed and replaced at each write
}

func newLogBuffer() *logBuffer { return &logBuffer{grown: make(chan struct{})} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	close(b.grown)
	b.grown = make(chan struct{})
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}

// tail returns the last n lines.
func (b *logBuffer) tail(n int) string {
	lines := strings.SplitAfter(b.String(), "\n")
	if len(lines) > n {
		lines = append([]string{fmt.Sprintf("… %d lines …\n", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "")
}

// waitFor returns the submatches of re in the log as soon as there is a match.
func (p *process) waitFor(t *testing.T, re *regexp.Regexp) []string {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.log.mu.Lock()
		match, grown := re.FindSubmatch(p.log.data), p.log.grown
		var found []string
		for _, m := range match {
			found = append(found, string(m))
		}
		p.log.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-grown:
		case <-p.done:
			t.Fatalf("%s ended (%v) and never wrote %v:\n%s", p.name, p.err, re, p.log.tail(100))
		case <-deadline:
			t.Fatalf("%s wrote no %v in %v:\n%s", p.name, re, patience, p.log.tail(100))
		}
	}
}

var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: make(map[int]bool)}

// freeAddr returns a loopback address where nobody listens, and returns it only once. Its port is
// below those that the kernel gives to outgoing connections: ten thousand of them cannot take it
// before the program that is told to listen there.
func freeAddr(t *testing.T) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	const low = 10000
	high := firstOutgoingPort(t)
	for range 1000 {
		port := low + rand.IntN(high-low)
		if ports.given[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		ports.given[port] = true
		return addr
	}
	t.Fatal("no free port")
	return ""
}

func firstOutgoingPort(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(data), []byte("\t"))
	n, err := strconv.Atoi(string(first))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// portOf returns the port of a host:port address.
func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// program returns the path of a program or file that a Debian package brings; pattern is a name to
// look up in PATH or an absolute path with wildcards.
func program(t *testing.T, pattern, pkg string) string {
	t.Helper()
	if !filepath.IsAbs(pattern) {
		path, err := exec.LookPath(pattern)
		if err != nil {
			t.Fatalf("%v: install the Debian package %s (.ci/install.sh)", err, pkg)
		}
		return path
	}
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s is missing: install the Debian package %s (.ci/install.sh)", pattern, pkg)
	}
	return found[0]
}

// publicTempDir returns a temporary folder that other users may enter: the one of t.TempDir lies
// in a folder that they may not.
func publicTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
