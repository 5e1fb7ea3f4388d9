// Package sendbuf buffers bytes of one side of a connection until the kernel accepts them for the other side.
package sendbuf

import (
	"sync"

	"holdfast/internal/park"
)

// Pending bytes are in pieces from two pools, so that they take little more memory than their size: a growing buffer
// leaves as much again for the collector. The first piece is small, for short delays.
const firstPiece, nextPiece = 8 << 10, 32 << 10

var (
	firstPieces = sync.Pool{New: func() any { return &piece{b: make([]byte, 0, firstPiece)} }}
	nextPieces  = sync.Pool{New: func() any { return &piece{b: make([]byte, 0, nextPiece)} }}
)

// piece has a part of the pending bytes.
type piece struct {
	b      []byte
	next   *piece
	shared bool // b is not of a pool: others have it too, and nobody changes it
}

func (p *piece) free() {
	if p.shared {
		return
	}
	pool := &firstPieces
	if cap(p.b) > firstPiece {
		pool = &nextPieces
	}
	p.b, p.next = p.b[:0], nil
	pool.Put(p)
}

// Buffer has bytes that the kernel has not accepted yet, at least one; without any, it is nil.
type Buffer struct {
	first, last *piece
	off         int // bytes of the first piece that are sent
	n           int // bytes
	shared      int // of the pieces that are shared, sent ones of the first piece included
}

// Len may be called on nil.
func (p *Buffer) Len() int {
	if p == nil {
		return 0
	}
	return p.n
}

// Copied returns how many of the bytes are copies of this buffer's own. It may be called on nil.
func (p *Buffer) Copied() int {
	switch {
	case p == nil:
		return 0
	case p.first != nil && p.first.shared:
		return p.n - p.shared + p.off
	}
	return p.n - p.shared
}

// share keeps b itself.
func (p *Buffer) share(b []byte) {
	if len(b) == 0 {
		return
	}
	p.n += len(b)
	p.shared += len(b)
	l := &piece{b: b[:len(b):len(b)], shared: true} // full: nothing is appended to it
	if p.last == nil {
		p.first = l
	} else {
		p.last.next = l
	}
	p.last = l
}

// add keeps a copy of b.
func (p *Buffer) add(b []byte) {
	p.n += len(b)
	for len(b) > 0 {
		switch l := p.last; {
		case l == nil:
			l = firstPieces.Get().(*piece)
			p.first, p.last = l, l
		case len(l.b) == cap(l.b):
			l.next = nextPieces.Get().(*piece)
			p.last = l.next
		}
		l := p.last
		n := min(len(b), cap(l.b)-len(l.b))
		l.b, b = append(l.b, b[:n]...), b[n:]
	}
}

// took notes that n bytes are sent.
func (p *Buffer) took(n int) {
	p.n -= n
	for n += p.off; p.first != nil && n >= len(p.first.b); {
		gone := p.first
		n -= len(gone.b)
		if p.first = gone.next; p.first == nil {
			p.last = nil
		}
		if gone.shared {
			p.shared -= len(gone.b)
		}
		gone.free()
	}
	p.off = n
}

// Send writes a and b to c, in order, as far as the kernel accepts them, and stores a copy of the rest in *p.
func Send(c *park.Conn, p **Buffer, a, b []byte) error { return send(c, p, a, b, (*Buffer).add) }

// SendShared is Send for a b that is never changed, so that its rest need not be copied.
func SendShared(c *park.Conn, p **Buffer, a, b []byte) error {
	return send(c, p, a, b, (*Buffer).share)
}

func send(c *park.Conn, p **Buffer, a, b []byte, keep func(*Buffer, []byte)) error {
	n := 0
	if *p == nil {
		var err error
		if n, err = c.Writev(a, b); err == nil {
			return nil
		} else if err != park.ErrAgain {
			return err
		}
		*p = new(Buffer)
	}
	if n < len(a) {
		(*p).add(a[n:])
		n = 0
	} else {
		n -= len(a)
	}
	keep(*p, b[n:])
	return nil
}

// Flush writes pending bytes. It returns nil if none is left, and park.ErrAgain if some are.
func Flush(c *park.Conn, p **Buffer) error {
	for *p != nil && (*p).n > 0 {
		q := *p
		var second []byte
		if q.first.next != nil {
			second = q.first.next.b
		}
		n, err := c.Writev(q.first.b[q.off:], second)
		q.took(n)
		if err != nil {
			return err
		}
	}
	*p = nil
	return nil
}

// Drop drops the pending bytes.
func Drop(p **Buffer) {
	if *p == nil {
		return
	}
	for x := (*p).first; x != nil; {
		next := x.next
		x.free()
		x = next
	}
	*p = nil
}
