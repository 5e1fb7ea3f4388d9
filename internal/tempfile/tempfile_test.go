package tempfile

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// loop runs a poller with one loop for the test.
func loop(t *testing.T) *park.Loop {
	t.Helper()
	p, err := park.New(park.Options{Loops: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Serve(t, p)
	return p.Loops()[0]
}

// run makes a step of what uses a file.
func run(step func()) { step() }

// on runs f on the loop and returns what it says.
func on[T any](l *park.Loop, f func(chan<- T)) T {
	c := make(chan T, 1)
	l.Post(func() { f(c) })
	return <-c
}

func TestFileReturnsWhatWasWritten(t *testing.T) {
	dir, l := t.TempDir(), loop(t)
	s := NewStore(dir, 1<<20, 1<<20, slog.Default())
	f := s.New(l, run)
	data := strings.Repeat("0123456789", 30000) // of several pieces
	for _, b := range []string{data[:7], data[7:]} {
		if err := on(l, func(c chan<- error) { f.Write([]byte(b), func(err error) { c <- err }) }); err != nil {
			t.Fatal(err)
		}
	}
	if s.Used() != int64(len(data)) || s.Files() != 1 {
		t.Errorf("%d bytes in %d files; want %d in 1", s.Used(), s.Files(), len(data))
	}
	var got strings.Builder
	for f.Len() > 0 {
		err := on(l, func(c chan<- error) {
			f.Read(func(b []byte, err error) {
				got.Write(b)
				c <- err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != data {
		t.Errorf("%d bytes came back, not those that were written", got.Len())
	}
	on(l, func(c chan<- error) {
		f.Close()
		c <- nil
	})
	if left, _ := os.ReadDir(dir); len(left) > 0 || s.Used() != 0 {
		t.Errorf("after the end %d bytes and %v are left", s.Used(), left)
	}
}

func TestStoreLimits(t *testing.T) {
	l := loop(t)
	s := NewStore(t.TempDir(), 100, 150, slog.Default())
	if !s.Fits(-1) || !s.Fits(100) || s.Fits(101) || NewStore("", 100, 150, nil).Fits(1) {
		t.Error("a body is let in by other limits than those of the store")
	}
	a, b := s.New(l, run), s.New(l, run)
	write := func(f *File, n int) {
		t.Helper()
		if err := on(l, func(c chan<- error) { f.Write(make([]byte, n), func(err error) { c <- err }) }); err != nil {
			t.Fatal(err)
		}
	}
	if write(a, 100); a.TakesMore() || !b.TakesMore() || s.Full() {
		t.Error("one file is full, and the store is not")
	}
	if write(b, 50); b.TakesMore() || !s.Full() || s.Fits(1) {
		t.Error("the store is full")
	}
	on(l, func(c chan<- error) {
		a.Close()
		c <- nil
	})
	if !b.TakesMore() || s.Full() {
		t.Error("a file that is closed still counts")
	}
	on(l, func(c chan<- error) {
		b.Close()
		c <- nil
	})
}

func TestFileThatCannotBeWritten(t *testing.T) {
	l := loop(t)
	s := NewStore(t.TempDir()+"/absent", 100, 100, slog.New(slog.NewTextHandler(io.Discard, nil)))
	f := s.New(l, run)
	err := on(l, func(c chan<- error) { f.Write([]byte("a"), func(err error) { c <- err }) })
	if err == nil || !f.Broken() || f.TakesMore() || s.Failures() != 1 || s.Used() != 0 {
		t.Errorf("error %v, broken %v, %d failures, %d bytes", err, f.Broken(), s.Failures(), s.Used())
	}
}
