package server

import (
	"context"
	"fmt"
	"io"
	"time"

	"holdfast/internal/asyncwriter"
)

const (
	logQueue = 1 << 20         // bytes of lines that wait until the output accepts them
	logFlush = 2 * time.Second // the longest that Close waits for the output
)

// LogWriter writes the server log on a goroutine of its own: a loop must not wait for a pipe that nobody reads. Lines
// beyond logQueue are dropped, and a line in the log says how many.
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
		return fmt.Appendf(nil, "%d log lines dropped: standard error is blocked\n", lines)
	}})
	go func() {
		defer close(l.donec)
		l.Serve(ctx, func(error) {}) // an error of the log has no other log to go to
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
