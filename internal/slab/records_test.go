package slab

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRecords stores and drops records at random, and reads all others after each step.
func TestRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 42, 43, 44, 102, 103, 104, 1000, LargeRecord - 1, LargeRecord, LargeRecord + 1}
	var s Records
	var records []Record
	var texts []Ref
	for step := range 20000 {
		grows := step/4000%2 == 0
		if n := len(records); n == 0 || random.IntN(10) < 5 == grows {
			m := Record{At: int64(step), Data: make([]byte, sizes[random.IntN(len(sizes))]), Flags: byte(step % 4)}
			for i := range m.Data {
				m.Data[i] = byte(random.Uint32())
			}
			m.Event = strings.Repeat("e", []int{0, 0, 3, 64, 65, 300}[random.IntN(6)])
			records, texts = append(records, m), append(texts, s.Store(m))
		} else {
			i := random.IntN(n)
			s.Drop(texts[i])
			records[i], texts[i] = records[n-1], texts[n-1]
			records, texts = records[:n-1], texts[:n-1]
		}
		if limit := s.Slab.Sparse(); limit != 0 {
			for i := range texts {
				texts[i] = s.Slab.Lower(texts[i], limit)
			}
		}
		if step%100 > 0 {
			continue
		}
		blocks := 0
		for i, m := range records {
			c := s.Load(texts[i])
			if !bytes.Equal(c.Data, m.Data) || c.Event != m.Event || c.At != m.At || c.Flags != m.Flags {
				t.Fatalf("step %d: record %d has changed", step, i)
			}
			n := RecordHead + len(m.Event) + len(m.Data)
			if len(m.Data) >= LargeRecord {
				n = RecordHead + len(m.Event) + 4
			}
			blocks += (n + HeadSize - 1) / HeadSize
		}
		if used, _ := s.Slab.Size(); used != 64*int64(blocks) {
			t.Fatalf("step %d: %d bytes of blocks used for %d blocks", step, used, blocks)
		}
	}
	for _, m := range texts {
		s.Drop(m)
	}
	if used, all := s.Slab.Size(); used > 0 || all > 0 || s.large != nil {
		t.Errorf("left over: %d of %d bytes, %d large texts", used, all, len(s.large))
	}
}
