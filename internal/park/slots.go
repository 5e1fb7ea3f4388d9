package park

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// pageSize slots are allocated at once; a page is never freed or moved, so a *Conn stays valid.
const pageSize = 256

type page [pageSize]Conn

// slots is the table of connections by number. Reading needs no lock.
type slots struct {
	mu    sync.Mutex // guards the making of pages
	pages []atomic.Pointer[page]
}

func newSlots(limit int) *slots {
	return &slots{pages: make([]atomic.Pointer[page], (limit+pageSize-1)/pageSize)}
}

// get returns slot n, which must have been made.
func (s *slots) get(n int32) *Conn {
	return &s.pages[n/pageSize].Load()[n%pageSize]
}

// make returns slot n, making its page if need be.
func (s *slots) make(n int) (*Conn, error) {
	if n < 0 || n/pageSize >= len(s.pages) {
		return nil, fmt.Errorf("park: descriptor %d is beyond the table of %d", n, len(s.pages)*pageSize)
	}
	p := s.pages[n/pageSize].Load()
	if p == nil {
		s.mu.Lock()
		if p = s.pages[n/pageSize].Load(); p == nil {
			p = new(page)
			for i := range p {
				p[i].fd = int32(n/pageSize*pageSize + i)
			}
			s.pages[n/pageSize].Store(p)
		}
		s.mu.Unlock()
	}
	return &p[n%pageSize], nil
}

// each calls f for every open slot of loop l. Only l's goroutine may call it.
func (s *slots) each(l *Loop, f func(*Conn)) {
	for i := range s.pages {
		p := s.pages[i].Load()
		if p == nil {
			continue
		}
		for j := range p {
			if c := &p[j]; c.openOn(l) {
				// Its opener may not have put it into the loop's set yet; closed now, the opener would
				// put in a descriptor that is free, or another's.
				l.opening.Lock()
				open := c.openOn(l)
				l.opening.Unlock()
				if open {
					f(c)
				}
			}
		}
	}
}

func (c *Conn) openOn(l *Loop) bool { return c.gen.Load()&1 == 1 && c.owner.Load() == l }
