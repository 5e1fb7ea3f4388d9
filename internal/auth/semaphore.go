package auth

import "sync"

// Semaphore lets so many through at once, and the others in the order in which they came.
type Semaphore struct {
	mu      sync.Mutex // guards what follows
	free    int
	waiters []func()
}

// NewSemaphore returns one that lets n through at once, and one if n is less.
func NewSemaphore(n int) *Semaphore { return &Semaphore{free: max(n, 1)} }

// Acquire calls f, now or when it is its turn, on any goroutine; f must not block. When what f began is over,
// Release is due.
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

// Release lets the next one through.
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
