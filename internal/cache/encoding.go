package cache

import (
	"sync/atomic"
	"time"

	"holdfast/internal/http1"
)

// encodings are the body of a response in content codings, as far as somebody has asked for them. Entries that differ by a 304
// only share them.
type encodings struct {
	bodies [http1.Zstd + 1]atomic.Pointer[[]byte]
	begun  [http1.Zstd + 1]atomic.Bool
}

// size returns how many bytes there are.
func (x *encodings) size() (n int64) {
	for i := range x.bodies {
		if b := x.bodies[i].Load(); b != nil {
			n += int64(cap(*b))
		}
	}
	return n
}

// Encoded returns the body in a coding, nil if it is not there.
func (e *Entry) Encoded(c http1.Coding) []byte {
	if b := e.encodings.bodies[c].Load(); b != nil {
		return *b
	}
	return nil
}

// BeginEncoding reports whether the caller is to compress the body: it is the first that asks.
func (e *Entry) BeginEncoding(c http1.Coding) bool {
	return e.encodings.begun[c].CompareAndSwap(false, true)
}

// CancelEncoding has the next one asked for what BeginEncoding was.
func (e *Entry) CancelEncoding(c http1.Coding) { e.encodings.begun[c].Store(false) }

// Encodings are those of an entry in its store.
type Encodings struct {
	*Entry
	Store *Store
	Now   time.Time
}

// Encode keeps the body in a coding.
func (x Encodings) Encode(c http1.Coding, body []byte) { Encode(x.Store, x.Entry, c, body, x.Now) }

// Encode keeps an entry's body in a coding that BeginEncoding has asked for, if the entry is stored yet and there is room.
func Encode(s *Store, e *Entry, c http1.Coding, body []byte, now time.Time) {
	s.mu.Lock()
	defer s.unlock()
	it, n := e.item, int64(cap(body))
	if it == nil { // but one that a 304 has made of it may be
		e.CancelEncoding(c)
		return
	}
	if it.size+n > s.o.Bytes/4 {
		return
	}
	if s.makeSessionRoom(it.place, n) != None || !s.makeRoom(n, now) || e.item != it {
		return
	}
	it.size += n
	s.stats.Bytes += n
	for i := range it.nodes {
		it.nodes[i].list.bytes += n
	}
	e.encodings.bodies[c].Store(&body)
}
