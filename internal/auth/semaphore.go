package auth

import "sync"

// Semaphore is a counting semaphore. Callers that must wait get it in order.
type Semaphore struct {
	mu      sync.Mutex // guards what follows
	free    int
	waiters []func()
}

// NewSemaphore returns a semaphore of n, at least 1.
func NewSemaphore(n int) *Semaphore { return &Semaphore{free: max(n, 1)} }

// Acquire calls f, now or when it is its turn, on any goroutine. f must not block. Call Release when the work that f
// began is done.
func (s *Semaphore) Acquire(f func()) {
	s.mu.Lock()
	if s.free == 0 {
		s.waiters = append(s.waiters, f)
		s.mu.Unlock()
		return
	}
	s.free--
	s.mu.Unlock()
	f()
}

// Release gives the semaphore to the next caller.
func (s *Semaphore) Release() {
	s.mu.Lock()
	if len(s.waiters) == 0 {
		s.free++
		s.mu.Unlock()
		return
	}
	f := s.waiters[0]
	s.waiters[0] = nil
	if s.waiters = s.waiters[1:]; len(s.waiters) == 0 {
		s.waiters = nil // and its array with it
	}
	s.mu.Unlock()
	f()
}

// Waiting returns how many wait for their turn.
func (s *Semaphore) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiters)
}
