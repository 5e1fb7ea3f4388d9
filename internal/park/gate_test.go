//go:build linux && !park_plain

package park

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openGate is the line of /proc/self/fdinfo of an epoll descriptor that waits for another's EPOLLIN.
var openGate = regexp.MustCompile(`(?m)^tfd: +\d+ events: +[0-9a-f]*[13579bdf] `)

// TestSleepingLoopIsWoken posts to a loop each time that it has gone to sleep, and once more while it is about to: none of
// the wake-ups may be missed, although what the closed gate has seen is taken out unread.
func TestSleepingLoopIsWoken(t *testing.T) {
	p, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { p.Serve() })
	defer serving.Wait()
	defer p.Shutdown()
	loop := p.Loops()[0]
	asleep := func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", loop.sys.gatefd))
		if err != nil {
			t.Fatal(err)
		}
		return openGate.Match(b)
	}
	ranc := make(chan struct{})
	limit := time.After(time.Minute)
	post := func() {
		t.Helper()
		loop.Post(func() { ranc <- struct{}{} })
		select {
		case <-ranc:
		case <-limit:
			t.Fatal("the loop was not woken")
		}
	}
	for range 200 {
		for !asleep() {
			select {
			case <-limit:
				t.Fatal("the loop does not sleep")
			default:
			}
		}
		post()
		post() // right behind the first
	}
}

// TestGateTellsOfWhatIsThere: an event that comes between the last look and the opening is told of, also where the gate had
// it in its list already when it was closed. A closed gate tells of nothing.
func TestGateTellsOfWhatIsThere(t *testing.T) {
	p, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := p.Loops()[0]
	defer l.sysClose()
	netpoller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(netpoller)
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(netpoller, unix.EPOLL_CTL_ADD, l.sys.gatefd, &ev); err != nil {
		t.Fatal(err)
	}
	told := func() bool {
		n, errno := epollWait(netpoller, make([]unix.EpollEvent, 1), false)
		if errno != 0 {
			t.Fatal(errno)
		}
		return n == 1
	}
	l.sysWake()
	if told() {
		t.Error("the closed gate tells of an event")
	}
	for round := range 3 {
		l.gate(true)
		if !told() {
			t.Errorf("round %d: the open gate does not tell of an event that is there", round)
		}
		l.gate(false)
		if told() {
			t.Errorf("round %d: closing tells of an event", round)
		}
	}
	l.gate(true)
	l.gate(false) // nobody has looked in between
	l.gate(true)
	if !told() {
		t.Error("an event is not told of when nobody has looked at it before")
	}
}

// TestSpareProcessor: a loop keeps a processor while it waits in the kernel only where others have one.
func TestSpareProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, processors := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(processors)
		p, err := New(Options{Loops: 2})
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() { p.Serve() })
		waitc := make(chan bool)
		loop := p.Loops()[0]
		loop.Post(func() { waitc <- loop.sys.waits })
		if waits := <-waitc; waits != (processors > 2) {
			t.Errorf("two loops on %d processors: waits is %v", processors, waits)
		}
		p.Shutdown()
		serving.Wait()
	}
}
