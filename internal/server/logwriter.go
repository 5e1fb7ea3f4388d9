package server

import (
	"context"
	"fmt"
	"io"
	"time"

	"holdfast/internal/asyncwriter"
)

const (
	logQueue = 1 << 20         // bytes of lines that wait for whoever reads the log
	logFlush = 2 * time.Second // that a reader has at the end
)

// LogWriter writes the server log on a goroutine of its own: a loop must not wait for a pipe that nobody reads. What exceeds
// logQueue is dropped, and the log says how much it was.
type LogWriter struct {
	*asyncwriter.Writer
	cancel context.CancelFunc
	donec  chan struct{} // closed when the last line is written
}

// NewLogWriter starts writing to w.
func NewLogWriter(w io.Writer) *LogWriter {
	ctx, cancel := context.WithCancel(context.Background())
	l := &LogWriter{cancel: cancel, donec: make(chan struct{})}
	l.Writer = asyncwriter.New(w, asyncwriter.Options{Limit: logQueue, Dropped: func(lines int64) []byte {
		return fmt.Appendf(nil, "log: %d lines are lost, as nobody read the log\n", lines)
	}})
	go func() {
		defer close(l.donec)
		l.Serve(ctx, func(error) {}) // the log is where it would be told
	}()
	return l
}

// Close waits until everything is written, or for logFlush.
func (l *LogWriter) Close() {
	l.cancel()
	select {
	case <-l.donec:
	case <-time.After(logFlush):
	}
}
