package asyncwriter

import (
	"context"
	"io"
	"sync"
	"time"
)

// Options of a Writer.
type Options struct {
	Limit   int                       // bytes that are queued at most; a piece that begins below it may end above it
	FlushAt int                       // bytes that are written without waiting further; 0: each piece is written at once
	Every   time.Duration             // the longest that less than FlushAt waits; needed with FlushAt
	Dropped func(pieces int64) []byte // what is written in the place of dropped pieces; nil: nothing is
}

// Writer queues pieces, such as the lines of a log, until Serve or Flush writes them. Its methods may be called from any
// goroutine.
type Writer struct {
	o     Options
	wakec chan struct{} // holds one

	mu       sync.Mutex // guards what follows
	queue    []byte
	pieces   int64  // in queue
	spare    []byte // of the last write, to be the next queue
	dropped  int64
	reported int64 // of dropped, through Options.Dropped

	file sync.Mutex // held while writing; guards out
	out  io.Writer
}

func New(out io.Writer, o Options) *Writer {
	return &Writer{o: o, out: out, wakec: make(chan struct{}, 1)}
}

// Write queues a copy of p. It neither fails nor waits for the output.
func (w *Writer) Write(p []byte) (int, error) {
	w.Append(func(b []byte) []byte { return append(b, p...) })
	return len(p), nil
}

// Append queues what f appends. f runs with the lock held, or not at all if the queue is full.
func (w *Writer) Append(f func(b []byte) []byte) {
	w.mu.Lock()
	if len(w.queue) >= w.o.Limit {
		w.dropped++
	} else {
		w.queue = f(w.queue)
		w.pieces++
	}
	full := len(w.queue) >= w.o.FlushAt
	w.mu.Unlock()
	if full {
		select {
		case w.wakec <- struct{}{}:
		default:
		}
	}
}

// Counts returns how many bytes are queued and how many pieces were dropped.
func (w *Writer) Counts() (queued int, dropped int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue), w.dropped
}

// Serve writes what is queued until ctx ends, and then the rest. An error of the output does not end it; report gets the first
// one of each series.
func (w *Writer) Serve(ctx context.Context, report func(error)) {
	var tickc <-chan time.Time
	if w.o.Every > 0 {
		tick := time.NewTicker(w.o.Every)
		defer tick.Stop()
		tickc = tick.C
	}
	failed := false
	for done := false; !done; {
		select {
		case <-tickc:
		case <-w.wakec:
		case <-ctx.Done():
			done = true
		}
		err := w.Flush()
		if err != nil && !failed {
			report(err)
		}
		failed = err != nil
	}
}

// Flush writes what is queued. What an error of the output has left unwritten is dropped.
func (w *Writer) Flush() error {
	w.file.Lock()
	defer w.file.Unlock()
	return w.flushLocked()
}

// Swap writes what is queued to the old output and continues with out. The caller closes the old one.
func (w *Writer) Swap(out io.Writer) (old io.Writer, err error) {
	w.file.Lock()
	defer w.file.Unlock()
	err = w.flushLocked()
	old, w.out = w.out, out
	return old, err
}

func (w *Writer) flushLocked() error {
	w.mu.Lock()
	b, pieces := w.queue, w.pieces
	w.queue, w.spare, w.pieces = w.spare[:0], nil, 0
	reported := w.reported
	if n := w.dropped - reported; n > 0 && w.o.Dropped != nil {
		b = append(b, w.o.Dropped(n)...)
		w.reported = w.dropped
	}
	w.mu.Unlock()
	var err error
	if len(b) > 0 {
		_, err = w.out.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.dropped += pieces
		w.reported = reported // that was not written either
	}
	if cap(b) <= max(4*w.o.FlushAt, 4<<10) { // a larger one was for a storm
		w.spare = b[:0]
	}
	return err
}
