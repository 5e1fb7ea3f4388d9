// Package slab stores byte strings in blocks of one size, which have no pointers. A garbage collection looks at none of
// them, and a text that is freed is not garbage: its blocks are reused at once.
package slab

// Slab has texts. The zero Slab is empty.
type Slab struct {
	chunks []chunk // nil: released
	room   int     // chunks before it are full
	used   int     // blocks
	spare  *[chunkBlocks]block
}

const (
	blockSize   = 64
	chunkBlocks = 1024 // 64 KiB

	// HeadSize is the bytes of a text that Head returns.
	HeadSize = blockSize - 4

	// MaxBlocks is how many blocks a slab may have.
	MaxBlocks = 1<<32 - 1
)

// Ref is a text: the number of its first block plus one. Zero is the empty text.
type Ref uint32

type block struct {
	next Ref // of the same text, or of the chunk's free list
	text [HeadSize]byte
}

// chunk is a number of blocks that are allocated together.
type chunk struct {
	blocks *[chunkBlocks]block // nil: released
	free   Ref                 // blocks that were used before
	fresh  uint32              // blocks[fresh:] were never used
	used   uint32
}

func (s *Slab) at(r Ref) *block {
	return &s.chunks[(r-1)/chunkBlocks].blocks[(r-1)%chunkBlocks]
}

// alloc returns a block of the first chunk that has one. So the chunks behind it become empty in time.
func (s *Slab) alloc() Ref {
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
	r := Ref(s.room*chunkBlocks) + Ref(c.fresh)
	s.at(r).next = 0 // of a spare chunk
	return r
}

// release frees one block. An empty chunk is released, but for one: the next text may need it.
func (s *Slab) release(r Ref) {
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

// Free frees a text.
func (s *Slab) Free(r Ref) {
	for r != 0 {
		next := s.at(r).next
		s.release(r)
		r = next
	}
}

// Sparse returns the limit for Lower if the texts take less than half of the memory, and zero otherwise.
func (s *Slab) Sparse() Ref {
	need := s.used/chunkBlocks + 1
	if len(s.chunks) <= 2*need {
		return 0
	}
	return Ref((need+need/4)*chunkBlocks) + 1
}

// Lower moves the part of a text that is at the end of the memory, and returns the text. When it was called for all
// texts, that memory is released.
func (s *Slab) Lower(first, limit Ref) Ref {
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

// Size returns the bytes of the blocks that texts take, and of all blocks.
func (s *Slab) Size() (used, all int64) {
	for i := range s.chunks {
		if s.chunks[i].blocks != nil {
			all += chunkBlocks * blockSize
		}
	}
	return int64(s.used) * blockSize, all
}

// Head returns the first HeadSize bytes of a text, which may be changed. What is beyond a text's end is undefined.
func (s *Slab) Head(r Ref) []byte { return s.at(r).text[:] }

// Writer makes a text, see Append.
type Writer struct {
	slab        *Slab
	first, last Ref
	n           int // bytes in last
}

// Writer returns a writer of a new text.
func (s *Slab) Writer() Writer { return Writer{slab: s} }

// Text returns what was written.
func (w *Writer) Text() Ref { return w.first }

// Append writes b.
func Append[T string | []byte](w *Writer, b T) {
	for len(b) > 0 {
		if w.last == 0 || w.n == HeadSize {
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

// Reader reads a text. Don't read beyond its end.
type Reader struct {
	slab *Slab
	at   Ref
	n    int // bytes of at that are read
}

// Reader returns a reader that begins at an offset of a text.
func (s *Slab) Reader(r Ref, offset int) Reader {
	for ; offset >= HeadSize; offset -= HeadSize {
		r = s.at(r).next
	}
	return Reader{s, r, offset}
}

// Read fills b.
func (r *Reader) Read(b []byte) {
	for len(b) > 0 {
		from := r.slab.at(r.at)
		n := copy(b, from.text[r.n:])
		b = b[n:]
		if r.n += n; r.n == HeadSize {
			r.at, r.n = from.next, 0
		}
	}
}
