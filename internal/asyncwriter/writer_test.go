package asyncwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// output collects what is written.
type output struct {
	blockedc chan struct{} // nil: it is open

	mu     sync.Mutex // guards what follows
	b      bytes.Buffer
	failed error
}

func (o *output) Write(p []byte) (int, error) {
	if o.blockedc != nil {
		<-o.blockedc
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	return o.b.Write(p)
}

// TestBlockedOutput: nobody waits for it, what exceeds the limit is dropped, and the output says so when it goes on.
func TestBlockedOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := output{blockedc: make(chan struct{})}
		w := New(&out, Options{Limit: 30, Dropped: func(n int64) []byte { return fmt.Appendf(nil, "%d lost\n", n) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Serve(ctx, func(err error) { t.Error(err) }) }()
		fmt.Fprintln(w, "first")
		synctest.Wait() // it is being written
		for i := range 10 {
			fmt.Fprintf(w, "line %04d\n", i)
		}
		if queued, dropped := w.Counts(); queued != 30 || dropped != 7 {
			t.Errorf("%d bytes are queued and %d lines dropped", queued, dropped)
		}
		close(out.blockedc)
		cancel()
		<-done
		if want := "first\nline 0000\nline 0001\nline 0002\n7 lost\n"; out.b.String() != want {
			t.Errorf("written %q, want %q", out.b.String(), want)
		}
	})
}

// TestPiecesAreGathered: until they are many, or have waited long enough.
func TestPiecesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		w := New(&out, Options{Limit: 1000, FlushAt: 10, Every: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Serve(ctx, func(err error) { t.Error(err) }) }()
		written := func() string {
			synctest.Wait()
			out.mu.Lock()
			defer out.mu.Unlock()
			return out.b.String()
		}
		io.WriteString(w, "123")
		if got := written(); got != "" {
			t.Errorf("%q is written at once", got)
		}
		time.Sleep(time.Second + time.Millisecond)
		if got := written(); got != "123" {
			t.Errorf("%q is written after a second", got)
		}
		io.WriteString(w, strings.Repeat("4", 10))
		if got := written(); got != "1234444444444" {
			t.Errorf("%q is written of many", got)
		}
		io.WriteString(w, "5")
		cancel()
		<-done
		if got := written(); got != "12344444444445" {
			t.Errorf("%q is written at the end", got)
		}
	})
}

// TestFailingOutput: the first error of a series is reported, and what was not written is counted.
func TestFailingOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := output{failed: errors.New("disk full")}
		w := New(&out, Options{Limit: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		var errs []error
		go func() { defer close(done); w.Serve(ctx, func(err error) { errs = append(errs, err) }) }()
		say := func(text string, failed error) {
			out.mu.Lock()
			out.failed = failed
			out.mu.Unlock()
			io.WriteString(w, text)
			synctest.Wait()
		}
		full := errors.New("disk full")
		say("a", full)
		say("b", full)
		say("c", nil)
		say("d", full)
		cancel()
		<-done
		if _, dropped := w.Counts(); len(errs) != 2 || dropped != 3 || out.b.String() != "c" {
			t.Errorf("%v reported, %d dropped, %q written", errs, dropped, out.b.String())
		}
	})
}

// TestDroppedIsWrittenAgain: the note of what was dropped is lost with a write that fails, and comes with the next one.
func TestDroppedIsWrittenAgain(t *testing.T) {
	out := output{failed: errors.New("disk full")}
	w := New(&out, Options{Limit: 1, Dropped: func(n int64) []byte { return fmt.Appendf(nil, "%d lost\n", n) }})
	for range 3 {
		io.WriteString(w, "line\n")
	}
	for range 2 {
		if err := w.Flush(); err == nil {
			t.Fatal("the output does not fail")
		}
	}
	out.failed = nil
	if err := w.Flush(); err != nil || out.b.String() != "3 lost\n" {
		t.Errorf("written %q, %v", out.b.String(), err)
	}
}

// TestSwap: what is queued goes to the old output, what comes later to the new one.
func TestSwap(t *testing.T) {
	var a, b bytes.Buffer
	w := New(&a, Options{Limit: 1000})
	io.WriteString(w, "old")
	if old, err := w.Swap(&b); old != &a || err != nil {
		t.Errorf("swapped %v, %v", old, err)
	}
	io.WriteString(w, "new")
	if err := w.Flush(); err != nil || a.String() != "old" || b.String() != "new" {
		t.Errorf("%q and %q, %v", a.String(), b.String(), err)
	}
}

// TestAppendCost: a line on a loop costs no allocation.
func TestAppendCost(t *testing.T) {
	w := New(io.Discard, Options{Limit: 1 << 20, FlushAt: 1 << 10})
	line := []byte("a line\n")
	n := testing.AllocsPerRun(1000, func() {
		w.Append(func(b []byte) []byte { return append(b, line...) })
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a line", n)
	}
}
