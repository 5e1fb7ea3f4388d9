package upgrade

import "sync"

// turnstile lets so many through at once, and the others in their order.
type turnstile struct {
	mu   sync.Mutex // guards what follows
	free int
	line []func()
}

// enter calls f, now or when it is its turn, on any goroutine; f must not block. When what f began is over,
// leave is due.
func (t *turnstile) enter(f func()) {
	t.mu.Lock()
	if t.free == 0 {
		t.line = append(t.line, f)
		t.mu.Unlock()
		return
	}
	t.free--
	t.mu.Unlock()
	f()
}

func (t *turnstile) leave() {
	t.mu.Lock()
	if len(t.line) == 0 {
		t.free++
		t.mu.Unlock()
		return
	}
	f := t.line[0]
	t.line[0] = nil
	if t.line = t.line[1:]; len(t.line) == 0 {
		t.line = nil // and its array with it
	}
	t.mu.Unlock()
	f()
}

func (t *turnstile) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.line)
}
