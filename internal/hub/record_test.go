package hub

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/slab"
)

// blocksOf returns how many blocks a stored message takes.
func blocksOf(m *Message) int {
	n := slab.RecordHead + len(m.Event) + len(m.Data)
	if len(m.Data) >= slab.LargeRecord {
		n = slab.RecordHead + len(m.Event) + 4
	}
	return (n + slab.HeadSize - 1) / slab.HeadSize
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
	_, before := h.held.records.Slab.Size()
	c.add(time.Hour)
	h.Sweep(c.now())
	h.Sweep(c.now())
	if _, after := h.held.records.Slab.Size(); before < 40<<16 || after > 2<<16 {
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
