package proxy

import (
	"sync"

	"holdfast/internal/park"
)

// keepPending is the largest buffer that goes back to the pool.
const keepPending = 128 << 10

var pendingPool = sync.Pool{New: func() any { return new(pending) }}

// pending is bytes that one side sent and the other's kernel would not take yet.
type pending struct {
	b   []byte
	off int // of b, that is gone already
}

// len may be called on nil.
func (p *pending) len() int {
	if p == nil {
		return 0
	}
	return len(p.b) - p.off
}

// send writes a and b to c, or as much as the kernel takes, and keeps the rest in *p. Order is kept.
func send(c *park.Conn, p **pending, a, b []byte) error {
	n := 0
	if *p == nil {
		var err error
		if n, err = c.Writev(a, b); err == nil {
			return nil
		} else if err != park.ErrAgain {
			return err
		}
		*p = pendingPool.Get().(*pending)
	} else if q := *p; q.off > len(q.b)/2 {
		q.b, q.off = q.b[:copy(q.b, q.b[q.off:])], 0
	}
	if n < len(a) {
		(*p).b = append((*p).b, a[n:]...)
		n = 0
	} else {
		n -= len(a)
	}
	(*p).b = append((*p).b, b[n:]...)
	return nil
}

// flush writes what is pending. It returns nil when nothing is left, park.ErrAgain while something is.
func flush(c *park.Conn, p **pending) error {
	if *p == nil {
		return nil
	}
	n, err := c.Write((*p).b[(*p).off:])
	(*p).off += n
	if err == nil {
		drop(p)
	}
	return err
}

// drop gives the buffer back.
func drop(p **pending) {
	if *p == nil {
		return
	}
	if cap((*p).b) <= keepPending {
		(*p).b, (*p).off = (*p).b[:0], 0
		pendingPool.Put(*p)
	}
	*p = nil
}
