//go:build linux && !park_plain

package takeover

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestTellWaits: what a busy process does not read at once is not lost, and comes in its order; what is told to one that
// has ended is known to be lost.
func TestTellWaits(t *testing.T) {
	l, f, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	other, err := newLink(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	h := &Handover{g: &Giver{Log: slog.New(slog.NewTextHandler(&lines, nil))}, child: &child{link: l}}
	p := h.Passer()
	defer p.Close()
	taker := newTaker(other)
	var sizes []int
	taker.Note = func(name string, data []byte) {
		if name != "note" || strings.Trim(string(data), "x") != "" {
			t.Errorf("%q, %d bytes", name, len(data))
		}
		if len(sizes) == 0 {
			time.Sleep(200 * time.Millisecond) // the stall; in it, the buffers become full
		}
		sizes = append(sizes, len(data))
	}
	latec := make(chan error, 1)
	go func() { latec <- taker.Late() }()
	const notes = 200
	for n := range notes {
		if !p.Tell("note", []byte(strings.Repeat("x", 100_000+n))) {
			t.Fatalf("note %d is lost: %s", n, &lines)
		}
	}
	p.Close()
	if err := <-latec; err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for n, size := range sizes {
		if size != 100_000+n {
			t.Fatalf("note %d has %d bytes", n, size)
		}
	}
	if len(sizes) != notes || lines.Len() > 0 {
		t.Errorf("%d notes have come; the log has %s", len(sizes), &lines)
	}
	if p.Tell("note", nil) {
		t.Error("a process that has ended is told")
	}
}

// TestTellTheEnded: the first note that fails is in the log.
func TestTellTheEnded(t *testing.T) {
	l, f, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	var lines strings.Builder
	h := &Handover{g: &Giver{Log: slog.New(slog.NewTextHandler(&lines, nil))}, child: &child{link: l}}
	p := h.Passer()
	for range 2 {
		if p.Tell("note", []byte("x")) {
			t.Error("a process that has ended is told")
		}
	}
	if n := strings.Count(lines.String(), "takes nothing more"); n != 1 || !strings.Contains(lines.String(), "hint=") {
		t.Errorf("the log has %s", &lines)
	}
}
