package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"holdfast/internal/asyncwriter"
)

const (
	flushAt   = 64 << 10           // bytes that are written at once
	flushTime = time.Second        // longest delay of a line
	maxQueue  = 4 << 20            // bytes that may be queued
	fileMode  = os.FileMode(0o640) // user agents and addresses are personal data
)

// Log is an access log. The methods of a nil Log do nothing.
type Log struct {
	json  bool
	cache bool // a line of text ends with Outcome.Cache; set before use
	trace bool // a line of text ends with Outcome.Trace; set before use
	lines *asyncwriter.Writer

	secretPaths []string // below them secret is a query parameter that is not logged
	secret      string   // empty: none

	mu     sync.Mutex // guards what follows
	path   string     // as in Open
	isFile bool       // otherwise it is a standard stream, which is neither opened again nor closed
	out    io.Writer  // what lines are written to
}

// Open opens the log at path, and creates the file if needed; "stdout" and "stderr" are the standard streams.
func Open(path string, json bool) (*Log, error) {
	out, isFile, err := openOutput(path)
	if err != nil {
		return nil, err
	}
	l := newLog(out, json)
	l.path, l.isFile, l.out = path, isFile, out
	return l, nil
}

// openOutput opens what a log at path writes to, and reports whether it is a file.
func openOutput(path string) (out io.Writer, isFile bool, err error) {
	switch path {
	case "stdout":
		return os.Stdout, false, nil
	case "stderr":
		return os.Stderr, false, nil
	}
	f, err := openFile(path)
	return f, true, err
}

// ShowCache has lines of text end with what the cache has done.
func (l *Log) ShowCache() { l.cache = true }

// ShowTrace has lines of text end with the identifier of the trace.
func (l *Log) ShowTrace() { l.trace = true }

func newLog(out io.Writer, json bool) *Log {
	return &Log{json: json, lines: asyncwriter.New(out, asyncwriter.Options{Limit: maxQueue, FlushAt: flushAt, Every: flushTime})}
}

func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return f, nil
}

// Reopen opens the file again by its name, after it was moved away; queued lines go to the old one. After an error, the
// old one stays in use.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moveLocked(l.path)
}

// Follow is Reopen if the file was moved away or removed since it was opened. It is for a process that gets no signal when
// that happens.
func (l *Log) Follow() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := l.out.(*os.File)
	if !ok || !l.isFile {
		return nil
	}
	own, err := f.Stat()
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	if named, err := os.Stat(l.path); err == nil && os.SameFile(own, named) {
		return nil
	}
	return l.moveLocked(l.path)
}

// watchTime is between two calls of Follow.
const watchTime = time.Second

// Watch calls Follow again and again until ctx ends, and writes failures to log. It is for a process that was replaced:
// signals go to the one that has taken over.
func (l *Log) Watch(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := l.Follow()
			if err != nil && !failed {
				log.Error("access log not reopened; still writing the old file", "error", err)
			}
			failed = err != nil
		}
	}
}

// Move has later lines written to another path, as in Open. If it is the same, Move is Reopen.
func (l *Log) Move(path string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moveLocked(path)
}

func (l *Log) moveLocked(path string) error {
	out, isFile, err := openOutput(path)
	if err != nil || !isFile && path == l.path {
		return err
	}
	wasFile := l.isFile
	l.path, l.isFile, l.out = path, isFile, out
	return l.use(out, wasFile)
}

// use writes the queued lines; later lines go to out. close means that the output so far is closed.
func (l *Log) use(out io.Writer, close bool) error {
	old, err := l.lines.Swap(out)
	if f, ok := old.(*os.File); ok && close {
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	return nil
}

// End writes the line that begun began. It may be called from any goroutine.
func (l *Log) End(begun []byte, o *Outcome) {
	if l != nil {
		l.lines.Append(func(b []byte) []byte { return l.appendLine(b, begun, o) })
	}
}

// Dropped returns how many lines were dropped, as the disk was too slow or failed.
func (l *Log) Dropped() int64 {
	if l == nil {
		return 0
	}
	_, dropped := l.lines.Counts()
	return dropped
}

// Serve writes lines until ctx ends, then the rest, and closes the file. An error of the disk does not end it: report
// gets the error, and later lines are written again.
func (l *Log) Serve(ctx context.Context, report func(error)) {
	tell := func(err error) { report(fmt.Errorf("access log: %w", err)) }
	l.lines.Serve(ctx, tell)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.use(io.Discard, l.isFile); err != nil {
		report(err)
	}
	l.isFile = false
}

// Flush writes the queued lines.
func (l *Log) Flush() error { return l.lines.Flush() }
