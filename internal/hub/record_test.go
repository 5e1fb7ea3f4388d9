package hub

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/slab"
)

// blocksOf returns how many blocks a stored message takes.
func blocksOf(m *Message) int {
	n := headSize + len(m.Event) + len(m.Data)
	if len(m.Data) >= largeRecord {
		n = headSize + len(m.Event) + 4
	}
	return (n + slab.HeadSize - 1) / slab.HeadSize
}

// TestRecords stores and drops messages at random, and reads all others after each step.
func TestRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 42, 43, 44, 102, 103, 104, 1000, largeRecord - 1, largeRecord, largeRecord + 1}
	var s records
	var messages []*Message
	var texts []stored
	for step := range 20000 {
		grows := step/4000%2 == 0
		if n := len(messages); n == 0 || random.IntN(10) < 5 == grows {
			m := &Message{ID: ID(step + 1), Data: make([]byte, sizes[random.IntN(len(sizes))]), at: int64(step), JSON: step%2 == 0, Binary: step%3 == 0}
			for i := range m.Data {
				m.Data[i] = byte(random.Uint32())
			}
			m.Event = strings.Repeat("e", []int{0, 0, 3, 64, 65, 300}[random.IntN(6)])
			messages, texts = append(messages, m), append(texts, s.store(m))
		} else {
			i := random.IntN(n)
			s.drop(texts[i])
			messages[i], texts[i] = messages[n-1], texts[n-1]
			messages, texts = messages[:n-1], texts[:n-1]
		}
		if limit := s.slab.Sparse(); limit != 0 {
			for i := range texts {
				texts[i].text = s.slab.Lower(texts[i].text, limit)
			}
		}
		if step%100 > 0 {
			continue
		}
		blocks := 0
		for i, m := range messages {
			c := s.load(texts[i], "a")
			if !bytes.Equal(c.Data, m.Data) || c.Event != m.Event || c.ID != m.ID || c.at != m.at || c.JSON != m.JSON || c.Binary != m.Binary || c.Channel != "a" {
				t.Fatalf("step %d: message %d has changed", step, m.ID)
			}
			blocks += blocksOf(m)
		}
		if used, _ := s.slab.Size(); used != 64*int64(blocks) {
			t.Fatalf("step %d: %d bytes of blocks used for %d blocks", step, used, blocks)
		}
	}
	for _, m := range texts {
		s.drop(m)
	}
	if used, all := s.slab.Size(); used > 0 || all > 0 || s.large != nil {
		t.Errorf("left over: %d of %d bytes, %d large texts", used, all, len(s.large))
	}
}

// TestHistoryIsReturned: when most messages are gone, and the rest is all over the memory, a sweep returns most of it.
func TestHistoryIsReturned(t *testing.T) {
	c := newClock()
	h := New(Options{Now: c.now, Rule: func(name string) (History, bool) {
		if strings.HasPrefix(name, "long") {
			return History{Messages: 9}, true
		}
		return History{Messages: 9, Age: time.Minute}, true
	}})
	for i := range 20000 {
		name := "short"
		if i%100 == 0 {
			name = "long"
		}
		say(t, h, strings.Repeat("x", 100)+fmt.Sprint(i), fmt.Sprint(name, i))
	}
	_, before := h.held.records.slab.Size()
	c.add(time.Hour)
	h.Sweep(c.now())
	h.Sweep(c.now())
	if _, after := h.held.records.slab.Size(); before < 40<<16 || after > 2<<16 {
		t.Errorf("%d bytes, then %d", before, after)
	}
	for i := 0; i < 20000; i += 100 {
		want(t, "a message that moved", kept(h, fmt.Sprint("long", i)), fmt.Sprint("long", i, ":", strings.Repeat("x", 100), i))
	}
	check(t, h)
}

// TestHistoryMakesNoGarbage: in a history that is full, a message takes the place of those that it drops.
func TestHistoryMakesNoGarbage(t *testing.T) {
	h := New(Options{Rule: keep(20)})
	draft := Draft{Channels: []string{"kept"}, Data: make([]byte, 128)}
	publish := func() {
		if _, err := h.PublishOne(draft); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		publish()
	}
	if n := testing.AllocsPerRun(1000, publish); n > 1 {
		t.Errorf("%v allocations per publish; want that of the message only", n)
	}
}

// TestHistoryCost: what a stored message takes is what HistoryTotal counts for it.
func TestHistoryCost(t *testing.T) {
	const channels, messages = 2000, 20
	for _, size := range []int{1, 128, 1000} {
		h := New(Options{Rule: keep(messages)})
		names := make([]string, channels)
		before := heap()
		for i := range names {
			names[i] = fmt.Sprint("kept", i)
			for range messages {
				say(t, h, strings.Repeat("x", size), names[i])
			}
		}
		took, counted := float64(heap()-before), float64(h.Stats().HistoryBytes)
		const channel = 400 // bytes for the channel itself
		if took -= channels * channel; took > 1.1*counted || took < 0.6*counted {
			t.Errorf("%d bytes each: %.0f bytes taken, %.0f counted", size, took/channels/messages, counted/channels/messages)
		}
		runtime.KeepAlive(h)
	}
}
