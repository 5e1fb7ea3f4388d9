package park

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// TestTrimmedPages opens and closes slots while pages without an open one are dropped all the time. An open slot
// stays where it is, and a generation never comes twice, whatever was made anew in between.
func TestTrimmedPages(t *testing.T) {
	const numbers = 4 * pageSize
	s := newSlots(numbers)
	last := make([]uint32, numbers) // generation, by who has the number
	free := make(chan int, numbers) // as the kernel has descriptors
	for _, n := range rand.Perm(numbers) {
		free <- n
	}
	donec := make(chan struct{})
	var trimmer, users sync.WaitGroup
	trimmer.Go(func() {
		for {
			select {
			case <-donec:
				return
			default:
				s.trim()
			}
		}
	})
	for range 4 {
		users.Go(func() {
			for range 20000 {
				n := <-free
				c, err := s.take(n)
				if err != nil {
					t.Error(err)
					return
				}
				gen := c.gen.Load() + 1
				if gen&1 != 1 || gen <= last[n] || c.fd != int32(n) {
					t.Errorf("slot %d is %d with generation %d after %d", n, c.fd, gen, last[n])
				}
				c.gen.Store(gen)
				if got := s.get(int32(n)); got != c || got.gen.Load() != gen {
					t.Errorf("slot %d has moved while it was open", n)
				}
				last[n] = gen + 1
				c.gen.Store(gen + 1)
				s.release(int32(n))
				free <- n
			}
		})
	}
	users.Wait()
	close(donec)
	trimmer.Wait()
	s.trim()
	for i := range s.pages {
		if s.pages[i].Load() != nil {
			t.Errorf("page %d is still there", i)
		}
	}
}
