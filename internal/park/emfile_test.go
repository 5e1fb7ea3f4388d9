//go:build linux && !park_plain

package park_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

const fewFiles = "PARK_TEST_FEW_FILES" // set in the process that has few descriptors

// TestOutOfDescriptors: a listener that meets EMFILE waits, serves whom it has, and accepts who waits
// when there are descriptors again. The limit is a process's, so the test runs in one of its own, which
// shares no descriptors with its peers: those are here.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv(fewFiles) != "" {
		serveWithFewFiles(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.timeout=40s")
	cmd.Env = append(os.Environ(), fewFiles+"=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := false
	defer func() {
		if !waited {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	var addr string
	var room int // connections that it can still open
	if _, err := fmt.Fscanf(out, "%s %d\n", &addr, &room); err != nil {
		t.Fatalf("the other process's first line: %v", err)
	}
	var peers []*wiretest.Client
	for range room + 5 {
		c := wiretest.Dial(t, addr)
		c.Send("x")
		peers = append(peers, c)
	}
	for _, c := range peers[:room] {
		c.Expect("x")
	}
	var failed, clients int64
	for failed == 0 { // until it has met the limit
		fmt.Fprintln(in, "stats")
		if _, err := fmt.Fscanf(out, "%d %d\n", &failed, &clients); err != nil {
			t.Fatalf("stats: %v", err)
		}
	}
	if clients != int64(room) {
		t.Errorf("%d connections are open, there was room for %d", clients, room)
	}
	for _, c := range peers[:room] { // those that it has are served as before
		c.Send("y")
		c.Expect("y")
	}
	for _, c := range peers[:5] {
		c.Close()
	}
	for _, c := range peers[room:] { // and those that wait have their turn
		c.Expect("x")
	}
	in.Close()
	waited = true
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
}

// serveWithFewFiles tells its address and how many connections it has room for, then its figures
// whenever it is asked.
func serveWithFewFiles(t *testing.T) {
	p := start(t, park.Options{Loops: 2})
	addr := listen(t, p, func(*park.Loop) park.Handler { return echo })
	warm, err := net.Dial("tcp", addr) // what the runtime opens at first use is open after this
	if err != nil {
		t.Fatal(err)
	}
	warm.Close()
	wiretest.Eventually(t, "only the poller is left", func() bool { s := p.Stats(); return s.Accepted == 1 && s.Clients == 0 })
	highest := 0
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := map[int]bool{}
	for _, e := range list {
		n, _ := strconv.Atoi(e.Name())
		if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil {
			open[n] = true
			highest = max(highest, n)
		}
	}
	limit := highest + 10
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: uint64(limit)}); err != nil {
		t.Fatal(err)
	}
	fmt.Println(addr, limit-len(open))
	var ask string
	for {
		if _, err := fmt.Scanln(&ask); err != nil {
			return
		}
		s := p.Stats()
		fmt.Println(s.AcceptErrors, s.Clients)
	}
}

// TestStopListeningWithBacklog: those that wait when a listener closes are accepted, and not reset by the system, however
// many they are.
func TestStopListeningWithBacklog(t *testing.T) {
	p := start(t, park.Options{Loops: 1})
	addr := listen(t, p, func(*park.Loop) park.Handler { return handlerFunc(echo) })
	entered, release := make(chan bool), make(chan bool)
	wait := p.Loops()[0].Do(func(done func()) {
		defer done()
		close(entered)
		<-release
	})
	<-entered
	var clients []*wiretest.Client
	for range 400 {
		c := wiretest.Dial(t, addr)
		c.Send("x")
		clients = append(clients, c)
	}
	p.StopListening()
	close(release)
	wait()
	for i, c := range clients {
		if n, err := c.Read(make([]byte, 1)); n != 1 {
			t.Fatalf("client %d had no answer: %v", i, err)
		}
	}
}
