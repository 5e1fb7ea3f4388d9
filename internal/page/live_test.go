package page

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/metric"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// open has p serve a viewer, and returns the other end of its connection.
func open(t *testing.T, p *Page) (c net.Conn, r *bufio.Reader) {
	t.Helper()
	c, server := net.Pipe()
	go func() {
		defer server.Close()
		p.serve(server, func() bool { return true })
	}()
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// next reads up to a line with this text.
func next(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if strings.Contains(line, want) {
			return
		}
		if err != nil {
			t.Fatalf("no %q: %v", want, err)
		}
	}
}

// TestNothingIsCollectedWithoutViewers: only while somebody looks, and once for all who do.
func TestNothingIsCollectedWithoutViewers(t *testing.T) {
	var collected atomic.Int64
	p := New(Options{Every: time.Millisecond, Metrics: func(w *metric.Writer) {
		w.Int("holdfast_channels", collected.Add(1))
	}})
	t.Cleanup(p.Close)
	running := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.running
	}
	if running() || collected.Load() != 0 {
		t.Fatal("somebody collects")
	}
	a, ra := open(t, p)
	next(t, ra, `data: {"time"`)
	b, rb := open(t, p)
	next(t, rb, `data: {"time"`)
	// Each state is of one collection, whoever reads it.
	p.mu.Lock()
	frame := string(p.frame)
	p.mu.Unlock()
	if !strings.Contains(frame, `"channels":`) {
		t.Errorf("the state is %s", frame)
	}
	if n := p.Viewers(); n != 2 || !running() {
		t.Errorf("%d viewers, running %v", n, running())
	}
	a.Close()
	wiretest.Eventually(t, "one has left", func() bool { return p.Viewers() == 1 })
	next(t, rb, `data: {"time"`)
	b.Close()
	wiretest.Eventually(t, "nobody collects", func() bool { return !running() })
	n := collected.Load()
	_, rc := open(t, p)
	next(t, rc, `data: {"time"`)
	if collected.Load() == n {
		t.Error("the next viewer got an old state")
	}
}

// TestSlowViewerGetsTheNewest: states that nobody has read are replaced, and nobody waits for who does not read.
func TestSlowViewerGetsTheNewest(t *testing.T) {
	var collected atomic.Int64
	p := New(Options{Every: time.Millisecond, Metrics: func(w *metric.Writer) { w.Int("holdfast_channels", collected.Add(1)) }})
	t.Cleanup(p.Close)
	_, slow := open(t, p)
	_, quick := open(t, p)
	for range 50 {
		next(t, quick, `data: {"time"`)
	}
	states := 0
	for range 3 { // what was under way, and then the newest
		next(t, slow, `data: {"time"`)
		states++
	}
	if n := collected.Load(); n < 50 || states != 3 {
		t.Errorf("%d collected", n)
	}
}

// TestLinesReachEachViewerOnce: those from before, then each new one.
func TestLinesReachEachViewerOnce(t *testing.T) {
	r := Record(slog.NewTextHandler(new(wiretest.Log), nil))
	log := slog.New(r)
	p := New(Options{Every: time.Millisecond, Lines: r})
	t.Cleanup(p.Close)
	log.Info("first")
	_, a := open(t, p)
	next(t, a, `{"log":[{"seq":1,`)
	log.Info("second")
	next(t, a, `{"log":[{"seq":2,`)
	_, b := open(t, p)
	next(t, b, `{"log":[{"seq":1,`)
	log.Info("third")
	next(t, b, `{"log":[{"seq":3,`)
	next(t, a, `{"log":[{"seq":3,`)
}

// TestTooManyViewers: one more is told so.
func TestTooManyViewers(t *testing.T) {
	p := New(Options{Every: time.Hour})
	t.Cleanup(p.Close)
	for range maxViewers {
		_, r := open(t, p)
		next(t, r, "200 OK")
	}
	_, r := open(t, p)
	next(t, r, "503 Service Unavailable")
	if n := p.Viewers(); n != maxViewers {
		t.Errorf("%d viewers", n)
	}
}

// TestPanicEndsTheStreamsOnly: the process holds clients. The next viewer has a working page again.
func TestPanicEndsTheStreamsOnly(t *testing.T) {
	var broken atomic.Bool
	log := new(wiretest.Log)
	p := New(Options{Every: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: func(*metric.Writer) {
		if broken.Load() {
			panic("broken")
		}
	}})
	t.Cleanup(p.Close)
	_, r := open(t, p)
	next(t, r, `data: {"time"`)
	broken.Store(true)
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "panic while the page's state was collected") {
		t.Errorf("the log has %q", log.String())
	}
	broken.Store(false)
	_, r = open(t, p)
	next(t, r, `data: {"time"`)
}

// TestCloseEndsTheStreams, and no viewer joins afterwards.
func TestCloseEndsTheStreams(t *testing.T) {
	p := New(Options{Every: time.Hour})
	_, r := open(t, p)
	next(t, r, `data: {"time"`)
	p.Close()
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	_, r = open(t, p)
	next(t, r, "503")
	p.Close()
}

// TestCloseDoesNotWaitForASlowViewer: one that reads nothing.
func TestCloseDoesNotWaitForASlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Every: time.Hour})
		open(t, p) // nobody reads its pipe, so the first write waits
		synctest.Wait()
		begun := time.Now()
		p.Close()
		if d := time.Since(begun); d != 0 || p.Viewers() != 0 {
			t.Errorf("Close took %v; %d viewers", d, p.Viewers())
		}
	})
}

// TestSlowViewerIsDropped: one that reads nothing for slowViewer.
func TestSlowViewerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Every: time.Second})
		open(t, p)
		begun := time.Now()
		for p.Viewers() == 0 || time.Since(begun) < slowViewer-time.Second {
			time.Sleep(100 * time.Millisecond)
		}
		if p.Viewers() != 1 {
			t.Error("it was dropped early")
		}
		time.Sleep(2500 * time.Millisecond) // not when the collector, which ends with its last viewer, looks
		if p.Viewers() != 0 || p.running {
			t.Error("it is still there")
		}
		p.Close()
	})
}

// TestRightsChangeMeanwhile: a viewer who was let in before the rights changed, and joins after, gets nothing.
func TestRightsChangeMeanwhile(t *testing.T) {
	p := New(Options{Every: time.Hour})
	t.Cleanup(p.Close)
	c, server := net.Pipe()
	defer c.Close()
	go func() {
		defer server.Close()
		p.serve(server, func() bool { return false })
	}()
	next(t, bufio.NewReader(c), errChanged.Error())
	if n := p.Viewers(); n != 0 {
		t.Errorf("%d viewers", n)
	}
}
