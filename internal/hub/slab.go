package hub

import "encoding/binary"

// slab stores texts in blocks of one size, which have no pointers. A garbage collection looks at none of them, and a
// text that is freed is not garbage: its blocks are reused at once. The zero slab is empty.
type slab struct {
	chunks []chunk
	room   int // chunks before it are full
	used   int // blocks
	spare  *[chunkBlocks]block

	large [][]byte // by texts of at least largeText bytes, which are kept as they are
	holes []uint32 // in large
}

const (
	blockSize   = 64
	chunkBlocks = 1024 // 64 KiB
	largeText   = 4 << 10
)

// maxSlab is the largest history, in bytes as storedCost counts them: a blockRef has 32 bits.
const maxSlab = 240 << 30

// blockRef is the number of a block plus one; zero: none.
type blockRef uint32

type block struct {
	next blockRef // of the same text, or of the chunk's free list
	text [blockSize - 4]byte
}

// chunk is a number of blocks that are allocated together.
type chunk struct {
	blocks *[chunkBlocks]block // nil: released
	free   blockRef            // blocks that were used before
	fresh  uint32              // blocks[fresh:] were never used
	used   uint32
}

func (s *slab) at(r blockRef) *block {
	return &s.chunks[(r-1)/chunkBlocks].blocks[(r-1)%chunkBlocks]
}

// alloc returns a block of the first chunk that has one. So the chunks behind it become empty in time.
func (s *slab) alloc() blockRef {
	for s.room < len(s.chunks) && s.chunks[s.room].used == chunkBlocks {
		s.room++
	}
	if s.room == len(s.chunks) {
		s.chunks = append(s.chunks, chunk{})
	}
	c := &s.chunks[s.room]
	if c.blocks == nil {
		if *c = (chunk{blocks: s.spare}); c.blocks == nil {
			c.blocks = new([chunkBlocks]block)
		}
		s.spare = nil
	}
	s.used++
	c.used++
	if r := c.free; r != 0 {
		b := s.at(r)
		c.free, b.next = b.next, 0
		return r
	}
	c.fresh++
	r := blockRef(s.room*chunkBlocks) + blockRef(c.fresh)
	s.at(r).next = 0 // of a spare chunk
	return r
}

// release frees one block. An empty chunk is released, but for one: the next text may need it.
func (s *slab) release(r blockRef) {
	i := int(r-1) / chunkBlocks
	c := &s.chunks[i]
	b := s.at(r)
	b.next, c.free = c.free, r
	s.used--
	if c.used--; c.used == 0 {
		s.spare = c.blocks
		*c = chunk{}
		for n := len(s.chunks); n > 0 && s.chunks[n-1].blocks == nil; n-- {
			s.chunks = s.chunks[:n-1]
		}
	}
	s.room = min(s.room, i, len(s.chunks))
}

// free frees a text.
func (s *slab) free(r blockRef) {
	for r != 0 {
		next := s.at(r).next
		s.release(r)
		r = next
	}
}

// crowded returns the first block that should move, as the blocks take less than half of the chunks; zero: none
// should.
func (s *slab) crowded() blockRef {
	need := s.used/chunkBlocks + 1
	if len(s.chunks) <= 2*need {
		return 0
	}
	return blockRef((need+need/4)*chunkBlocks) + 1
}

// lower moves the blocks of a text from limit on to chunks before, and returns its new beginning.
func (s *slab) lower(first, limit blockRef) blockRef {
	link := &first
	for *link != 0 {
		if r := *link; r >= limit {
			moved := s.alloc()
			b := s.at(moved)
			*b = *s.at(r)
			*link = moved
			s.release(r)
		}
		link = &s.at(*link).next
	}
	return first
}

// slabWriter appends to a text, see appendText.
type slabWriter struct {
	slab        *slab
	first, last blockRef
	n           int // bytes in last
}

func appendText[T string | []byte](w *slabWriter, b T) {
	for len(b) > 0 {
		if w.last == 0 || w.n == len(block{}.text) {
			r := w.slab.alloc()
			if w.last == 0 {
				w.first = r
			} else {
				w.slab.at(w.last).next = r
			}
			w.last, w.n = r, 0
		}
		n := copy(w.slab.at(w.last).text[w.n:], b)
		w.n += n
		b = b[n:]
	}
}

// slabReader reads a text.
type slabReader struct {
	slab *slab
	at   blockRef
	n    int // bytes of at that are read
}

// read fills b.
func (r *slabReader) read(b []byte) {
	for len(b) > 0 {
		from := r.slab.at(r.at)
		n := copy(b, from.text[r.n:])
		b = b[n:]
		if r.n += n; r.n == len(from.text) {
			r.at, r.n = from.next, 0
		}
	}
}

// skip passes over n bytes.
func (r *slabReader) skip(n int) {
	for r.n += n; r.n >= len(block{}.text); r.n -= len(block{}.text) {
		r.at = r.slab.at(r.at).next
	}
}

// number reads the number of a large text.
func (r *slabReader) number() uint32 {
	var b [4]byte
	r.read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// keepLarge stores a text as it is, and returns its number.
func (s *slab) keepLarge(b []byte) uint32 {
	if n := len(s.holes); n > 0 {
		i := s.holes[n-1]
		s.holes = s.holes[:n-1]
		s.large[i] = b
		return i
	}
	s.large = append(s.large, b)
	return uint32(len(s.large) - 1)
}

func (s *slab) freeLarge(i uint32) {
	s.large[i] = nil
	if s.holes = append(s.holes, i); len(s.holes) == len(s.large) {
		s.large, s.holes = nil, nil
	}
}
