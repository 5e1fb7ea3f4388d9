package accesslog

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	flushAt   = 64 << 10           // bytes that are written without waiting further
	flushTime = time.Second        // the longest that a line waits
	maxWait   = 4 << 20            // bytes that may wait for the disk
	fileMode  = os.FileMode(0o640) // user agents and addresses are personal data
)

// Log is an access log. A nil Log is none: its methods do nothing.
type Log struct {
	json  bool
	path  string // empty: out is not ours to reopen
	wakec chan struct{}

	secretPaths []string // below them secret is a query parameter that is not logged
	secret      string   // empty: none

	mu      sync.Mutex // guards what follows
	waiting []byte
	spare   []byte
	dropped int64

	file sync.Mutex // held while writing; guards what follows
	out  io.Writer
}

// Open opens the log at path, which is created if it is not there; "stdout" and "stderr" are those.
func Open(path string, json bool) (*Log, error) {
	l := &Log{json: json, wakec: make(chan struct{}, 1)}
	switch path {
	case "stdout":
		l.out = os.Stdout
	case "stderr":
		l.out = os.Stderr
	default:
		l.path = path
		if err := l.Reopen(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Reopen opens the file again by its name, after it was moved away; lines that wait go to the old one.
// If that fails, the old one stays.
func (l *Log) Reopen() error {
	if l == nil || l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	l.file.Lock()
	defer l.file.Unlock()
	if l.out != nil {
		l.flushLocked()
	}
	if old, ok := l.out.(*os.File); ok {
		old.Close()
	}
	l.out = f
	return nil
}

// End writes the line that begun began. It may be called from any goroutine.
func (l *Log) End(begun []byte, o *Outcome) {
	if l == nil {
		return
	}
	l.mu.Lock()
	if len(l.waiting) > maxWait {
		l.dropped++
		l.mu.Unlock()
		return
	}
	l.waiting = l.appendLine(l.waiting, begun, o)
	full := len(l.waiting) >= flushAt
	l.mu.Unlock()
	if full {
		select {
		case l.wakec <- struct{}{}:
		default:
		}
	}
}

// Dropped returns how many lines the disk was too slow for.
func (l *Log) Dropped() int64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Serve writes lines until ctx ends, then what is left, and closes the file. An error of the disk does
// not end it: report is told, and lines go on to the next try.
func (l *Log) Serve(ctx context.Context, report func(error)) {
	tick := time.NewTicker(flushTime)
	defer tick.Stop()
	failed := false
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-l.wakec:
		case <-ctx.Done():
			done = true
		}
		err := l.Flush()
		if err != nil && !failed {
			report(fmt.Errorf("access log: %w", err))
		}
		failed = err != nil
	}
	if f, ok := l.out.(*os.File); ok && l.path != "" {
		f.Close()
	}
}

// Flush writes the lines that wait.
func (l *Log) Flush() error {
	l.file.Lock()
	defer l.file.Unlock()
	return l.flushLocked()
}

func (l *Log) flushLocked() error {
	l.mu.Lock()
	b := l.waiting
	l.waiting, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	var err error
	if len(b) > 0 {
		_, err = l.out.Write(b)
	}
	if cap(b) <= 4*flushAt {
		l.mu.Lock()
		l.spare = b[:0]
		l.mu.Unlock()
	}
	return err
}
