// Package rate has two limits: the maximum rate of an address's requests, and the minimum rate of a peer's bytes.
package rate

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Limiter limits requests per address: a leaky bucket that runs out at every per second, with room for
// burst requests at once. An address costs an entry while its bucket is not empty.
type Limiter struct {
	every  time.Duration // between two requests
	burst  time.Duration // how far ahead of the clock an address may be
	seed   maphash.Seed
	shards [16]shard
}

type shard struct {
	mu    sync.Mutex           // guards what follows
	empty map[netip.Addr]int64 // when the address's bucket is empty, in nanoseconds since start
	start time.Time            // of the clock
	sweep int                  // the size at which entries that are empty are dropped
}

// New returns a limiter, or nil without a limit, which admits all requests.
func New(perSecond, burst int) *Limiter {
	if perSecond <= 0 {
		return nil
	}
	return NewEvery(time.Second/time.Duration(perSecond), burst)
}

// NewEvery returns a limiter for one request in that time, and burst at once besides.
func NewEvery(every time.Duration, burst int) *Limiter {
	r := &Limiter{every: every, seed: maphash.MakeSeed()}
	r.burst = r.every * time.Duration(max(burst, 0))
	for i := range r.shards {
		r.shards[i] = shard{empty: map[netip.Addr]int64{}, sweep: 1024}
	}
	return r
}

// Admit reports whether a request of addr is admitted at now, and if not, after how long it would be.
func (r *Limiter) Admit(addr netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	return r.look(addr, now, true)
}

// Room is Admit without a request: it reports whether one would be admitted.
func (r *Limiter) Room(addr netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	return r.look(addr, now, false)
}

func (r *Limiter) look(addr netip.Addr, now time.Time, count bool) (wait time.Duration, ok bool) {
	if r == nil || !addr.IsValid() {
		return 0, true
	}
	if addr.Is6() { // one subscriber has a whole /64
		p, _ := addr.Prefix(64)
		addr = p.Addr()
	}
	s := &r.shards[maphash.Comparable(r.seed, addr)%uint64(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start.IsZero() {
		s.start = now
	}
	at := int64(now.Sub(s.start))
	empty := max(s.empty[addr], at)
	if ahead := time.Duration(empty - at); ahead > r.burst {
		return ahead - r.burst, false
	}
	if !count {
		return 0, true
	}
	s.empty[addr] = empty + int64(r.every)
	if len(s.empty) > s.sweep {
		for a, t := range s.empty {
			if t <= at {
				delete(s.empty, a)
			}
		}
		s.sweep = max(1024, 2*len(s.empty))
	}
	return 0, true
}
