package slab

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// check compares what a slab counts with what there is.
func (s *Slab) check(t *testing.T, texts [][]byte) {
	t.Helper()
	used, want := 0, 0
	for i := range s.chunks {
		c := &s.chunks[i]
		used += int(c.used)
		free := 0
		for r := c.free; r != 0; r = s.at(r).next {
			free++
		}
		if free+int(c.used) != int(c.fresh) || (c.blocks == nil) != (c.used == 0) || i < s.room && c.used < chunkBlocks {
			t.Fatalf("chunk %d of %d: %d blocks used, %d free of %d; room in chunk %d", i, len(s.chunks), c.used, free, c.fresh, s.room)
		}
	}
	for _, b := range texts {
		want += (len(b) + HeadSize - 1) / HeadSize
	}
	if used != s.used || used != want {
		t.Fatalf("%d blocks counted, %d there, %d wanted", s.used, used, want)
	}
}

// TestSlab makes and frees texts at random, in phases that grow and shrink, and reads all others.
func TestSlab(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, HeadSize - 1, HeadSize, HeadSize + 1, 5 * HeadSize, 3000}
	var s Slab
	var texts [][]byte
	var refs []Ref
	lowered := 0
	for step := range 40000 {
		grows := step/8000%2 == 0
		if n := len(texts); n == 0 || random.IntN(10) < 5 == grows {
			b := make([]byte, sizes[random.IntN(len(sizes))])
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			w, cut := s.Writer(), random.IntN(len(b)+1)
			Append(&w, b[:cut])
			Append(&w, string(b[cut:]))
			texts, refs = append(texts, b), append(refs, w.Text())
		} else {
			i := random.IntN(n)
			s.Free(refs[i])
			texts[i], refs[i] = texts[n-1], refs[n-1]
			texts, refs = texts[:n-1], refs[:n-1]
		}
		if limit := s.Sparse(); limit != 0 {
			lowered++
			for i := range refs {
				refs[i] = s.Lower(refs[i], limit)
			}
			used, all := s.Size()
			if s.Sparse() != 0 || all > 2*used+2*chunkBlocks*blockSize {
				t.Fatalf("%d bytes for %d after the texts have moved", all, used)
			}
		}
		if step%500 > 0 {
			continue
		}
		s.check(t, texts)
		for i, b := range texts {
			at := random.IntN(len(b) + 1)
			r, got := s.Reader(refs[i], 0), make([]byte, len(b))
			if len(b) > 0 {
				r.Read(got[:at])
				r.Read(got[at:])
				if n := min(len(b), HeadSize); !bytes.Equal(s.Head(refs[i])[:n], b[:n]) {
					t.Fatalf("step %d: head of text %d", step, i)
				}
			}
			if !bytes.Equal(got, b) {
				t.Fatalf("step %d: text %d of %d bytes has changed", step, i, len(b))
			}
			if at < len(b) {
				r = s.Reader(refs[i], at)
				if r.Read(got[at:]); !bytes.Equal(got, b) {
					t.Fatalf("step %d: text %d of %d bytes, read from %d", step, i, len(b), at)
				}
			}
		}
	}
	if lowered == 0 {
		t.Error("the texts have never moved")
	}
	for _, r := range refs {
		s.Free(r)
	}
	if s.check(t, nil); len(s.chunks) > 0 {
		t.Errorf("%d chunks are left", len(s.chunks))
	}
}

// TestReuse: texts that follow each other take the same blocks, also where a chunk begins.
func TestReuse(t *testing.T) {
	var s Slab
	text := make([]byte, chunkBlocks*HeadSize)
	n := testing.AllocsPerRun(100, func() {
		w := s.Writer()
		Append(&w, text)
		s.Free(w.Text())
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
