package server

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	logQueue = 1 << 20         // bytes of lines that may wait for whoever reads the log
	logFlush = 2 * time.Second // that a reader has at the end
)

// LogWriter hands lines to a goroutine that writes them: a loop must not wait for a pipe that nobody reads. What is
// more than logQueue is lost, and counted in the log once it goes on.
type LogWriter struct {
	w     io.Writer
	donec chan struct{} // closed when the last line is written

	mu     sync.Mutex // guards what follows
	wake   *sync.Cond
	queue  []byte
	lost   int
	closed bool
}

func NewLogWriter(w io.Writer) *LogWriter {
	l := &LogWriter{w: w, donec: make(chan struct{})}
	l.wake = sync.NewCond(&l.mu)
	go l.run()
	return l
}

// Write queues a line. It does not fail and does not block.
func (l *LogWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue)+len(line) > logQueue {
		l.lost++
		return len(line), nil
	}
	l.queue = append(l.queue, line...)
	l.wake.Signal()
	return len(line), nil
}

func (l *LogWriter) run() {
	defer close(l.donec)
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && l.lost == 0 && !l.closed {
			l.wake.Wait()
		}
		b, lost, closed := l.queue, l.lost, l.closed
		l.queue, l.lost = nil, 0
		l.mu.Unlock()
		if lost > 0 {
			b = fmt.Appendf(bytes.Clone(b), "log: %d lines are lost, as nobody read the log\n", lost)
		}
		if len(b) == 0 && closed {
			return
		}
		_, _ = l.w.Write(b) // where else could it be told
	}
}

// Close waits until everything is written, or for logFlush.
func (l *LogWriter) Close() {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	select {
	case <-l.donec:
	case <-time.After(logFlush):
	}
}
