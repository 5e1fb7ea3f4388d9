package accesslog

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"holdfast/internal/asyncwriter"
)

const (
	flushAt   = 64 << 10           // bytes that are written without waiting further
	flushTime = time.Second        // the longest that a line waits
	maxQueue  = 4 << 20            // bytes that may wait for the disk
	fileMode  = os.FileMode(0o640) // user agents and addresses are personal data
)

// Log is an access log. A nil Log is none: its methods do nothing.
type Log struct {
	json  bool
	path  string // empty: the output is not ours to reopen
	lines *asyncwriter.Writer

	secretPaths []string // below them secret is a query parameter that is not logged
	secret      string   // empty: none
}

// Open opens the log at path, which is created if it is not there; "stdout" and "stderr" are those.
func Open(path string, json bool) (*Log, error) {
	switch path {
	case "stdout":
		return newLog(os.Stdout, json), nil
	case "stderr":
		return newLog(os.Stderr, json), nil
	}
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	l := newLog(f, json)
	l.path = path
	return l, nil
}

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

// Reopen opens the file again by its name, after it was moved away; lines that wait go to the old one.
// If that fails, the old one stays.
func (l *Log) Reopen() error {
	if l == nil || l.path == "" {
		return nil
	}
	f, err := openFile(l.path)
	if err != nil {
		return err
	}
	return l.use(f)
}

// use writes what waits and closes the file; lines go to out from now on.
func (l *Log) use(out io.Writer) error {
	old, err := l.lines.Swap(out)
	if f, ok := old.(*os.File); ok {
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

// Dropped returns how many lines are lost: the disk was too slow for them, or failed.
func (l *Log) Dropped() int64 {
	if l == nil {
		return 0
	}
	_, dropped := l.lines.Counts()
	return dropped
}

// Serve writes lines until ctx ends, then what is left, and closes the file. An error of the disk does
// not end it: report gets it, and later lines are tried again.
func (l *Log) Serve(ctx context.Context, report func(error)) {
	tell := func(err error) { report(fmt.Errorf("access log: %w", err)) }
	l.lines.Serve(ctx, tell)
	if l.path == "" {
		return
	}
	if err := l.use(io.Discard); err != nil {
		report(err)
	}
}

// Flush writes the lines that wait.
func (l *Log) Flush() error { return l.lines.Flush() }
