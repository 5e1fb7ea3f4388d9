package upgrade

import "sync"

// endings remembers whose sessions have ended lately, so that a hold that was decided just before is looked at again. Any
// goroutine may call it.
type endings struct {
	mu   sync.Mutex // guards what follows
	n    uint64
	last [256]uint64 // credentials; the n-th is at n modulo the length
}

func (e *endings) add(id uint64) {
	if id == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last[e.n%uint64(len(e.last))] = id
	e.n++
}

// now is for since.
func (e *endings) now() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n
}

// since reports whether one of ids, of which 0 is none, may have ended since then.
func (e *endings) since(then uint64, ids ...uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	size := uint64(len(e.last))
	for _, id := range ids {
		if id == 0 {
			continue
		}
		if e.n-then > size { // nobody knows any more
			return true
		}
		for i := then; i < e.n; i++ {
			if e.last[i%size] == id {
				return true
			}
		}
	}
	return false
}
