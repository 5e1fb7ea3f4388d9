package park

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// pageSize is how many slots are allocated at once. A page with an open slot is never freed or moved.
const pageSize = 256

type page [pageSize]Conn

// slots is the table of connections by number. Reading needs no lock.
type slots struct {
	mu    sync.Mutex // guards creating and dropping pages
	pages []atomic.Pointer[page]
	used  []atomic.Int32 // slots of each page that are open or about to be opened; dropping: the page is being dropped
	floor []uint32       // first generation of a page's slots; guarded by mu

	layers []atomic.Pointer[layerPage] // of each page; nil until a slot of it has one
}

// layerPage has the layers of a page's slots. An entry belongs to the owner of its slot.
type layerPage [pageSize]Layer

const dropping = -1

func newSlots(limit int) *slots {
	n := (limit + pageSize - 1) / pageSize
	return &slots{
		pages: make([]atomic.Pointer[page], n), used: make([]atomic.Int32, n), floor: make([]uint32, n),
		layers: make([]atomic.Pointer[layerPage], n),
	}
}

// get returns slot n, or nil if its page does not exist: then it is not open.
func (s *slots) get(n int32) *Conn {
	p := s.pages[n/pageSize].Load()
	if p == nil {
		return nil
	}
	return &p[n%pageSize]
}

// take returns slot n to be opened, and creates its page if needed. The page stays until release.
func (s *slots) take(n int) (*Conn, error) {
	i := n / pageSize
	if n < 0 || i >= len(s.pages) {
		return nil, fmt.Errorf("park: descriptor %d is beyond the table of %d", n, len(s.pages)*pageSize)
	}
	for {
		used := s.used[i].Load()
		if used == dropping {
			runtime.Gosched() // it takes a moment
			continue
		}
		if s.used[i].CompareAndSwap(used, used+1) {
			break
		}
	}
	p := s.pages[i].Load()
	if p == nil {
		s.mu.Lock()
		if p = s.pages[i].Load(); p == nil {
			p = new(page)
			for j := range p {
				p[j].fd = int32(i*pageSize + j)
				p[j].gen.Store(s.floor[i])
			}
			s.pages[i].Store(p)
		}
		s.mu.Unlock()
	}
	return &p[n%pageSize], nil
}

// layer returns the layer of open slot n, which has one.
func (s *slots) layer(n int32) Layer { return s.layers[n/pageSize].Load()[n%pageSize] }

// setLayer sets the layer of open slot n.
func (s *slots) setLayer(n int32, x Layer) {
	p := s.layers[n/pageSize].Load()
	if p == nil {
		s.mu.Lock()
		if p = s.layers[n/pageSize].Load(); p == nil {
			p = new(layerPage)
			s.layers[n/pageSize].Store(p)
		}
		s.mu.Unlock()
	}
	p[n%pageSize] = x
}

// release is called when slot n is closed and not used any more.
func (s *slots) release(n int32) { s.used[n/pageSize].Add(-1) }

// trim drops the pages without an open slot. New pages in their place continue their generations, so that a late event
// does not match a new connection.
func (s *slots) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pages {
		p := s.pages[i].Load()
		if p == nil || !s.used[i].CompareAndSwap(0, dropping) {
			continue
		}
		for j := range p {
			s.floor[i] = max(s.floor[i], p[j].gen.Load())
		}
		s.pages[i].Store(nil)
		s.layers[i].Store(nil)
		s.used[i].Store(0)
	}
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
				// Its opener may not have added it to the loop's set yet. If it were closed now, the opener would add a
				// descriptor that is free or belongs to another.
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
