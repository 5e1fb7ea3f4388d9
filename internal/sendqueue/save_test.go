package sendqueue

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"holdfast/internal/hub"
	"holdfast/internal/plainval"
)

// TestQueueMoves has another queue continue after each step, and compares what is sent with that of one that stays.
func TestQueueMoves(t *testing.T) {
	render := func(m *hub.Message) []byte { return m.Data }
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var total, otherTotal atomic.Int64
		memory, other := NewMemory(&total), NewMemory(&otherTotal)
		first := Item{Bytes: []byte("begun"), Counted: true}
		stays, moves := New(memory, first, 2), New(other, first, 2)
		both := func(f func(*Queue)) { f(&stays); f(&moves) }
		buf := make([]byte, 0, 16)
		for step := range 60 {
			switch random.IntN(6) {
			case 0, 1, 2:
				name := string(rune('a' + random.IntN(3)))
				m := &hub.Message{ID: hub.ID(step + 1), Channel: name, Data: []byte{name[0], byte('0' + step%10), byte('0' + step/10)}}
				i := Item{Bytes: m.Data, Message: m, Shared: true, Counted: random.IntN(4) > 0}
				both(func(q *Queue) { q.Push(i) })
			case 3:
				both(func(q *Queue) { q.MakeRoom(1<<20, 0, func(m *hub.Message) bool { return m.Channel != "c" }) })
			case 4:
				both(func(q *Queue) {
					q.DropSuperseded(nil, &hub.Message{Channel: "c"}, func(*hub.Message) bool { return true })
				})
			case 5:
				n := 1 + random.IntN(5)
				both(func(q *Queue) {
					if !q.Empty() {
						q.Written(min(n, len(q.Next(buf, renderGap))))
					}
				})
			}
			items, all := moves.Items(), Messages{}
			all.Add(&moves)
			moves.Release()
			all, err := ParseMessages(MessagesVersion, all.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if moves, err = Restore(other, items, all, render); err != nil {
				t.Fatal(err)
			}
			if stays.Empty() != moves.Empty() {
				t.Fatalf("seed %d, step %d: empty %t after a move, %t without", seed, step, moves.Empty(), stays.Empty())
			}
		}
		if a, b := text(&stays, 3), text(&moves, 3); a != b || total.Load() != 0 || otherTotal.Load() != 0 {
			t.Fatalf("seed %d: %q after moves, with %d bytes left; want %q, and %d", seed, b, otherTotal.Load(), a, total.Load())
		}
	}
}

// TestBegunItemIsNotDropped: the client has a part of it.
func TestBegunItemIsNotDropped(t *testing.T) {
	m := NewMemory(new(atomic.Int64))
	item := func(data string) Item {
		m := hub.NewMessage(hub.Record{ID: 1, Data: []byte(data)}, []string{"a", "b"})
		return Item{Bytes: m.Data, Message: m, Shared: true, Counted: true}
	}
	one := New(m, item("begun"), 2)
	one.Push(item("next"))
	all := Messages{}
	all.Add(&one)
	two, err := Restore(m, one.Items(), all, func(m *hub.Message) []byte { return []byte("next") })
	if err != nil {
		t.Fatal(err)
	}
	two.DropSuperseded(nil, &hub.Message{Channel: "a"}, func(*hub.Message) bool { return true })
	two.MakeRoom(1<<20, 0, func(*hub.Message) bool { return true })
	if got := string(two.Begun()); got != "gun" {
		t.Errorf("begun %q; want its rest", got)
	}
	if got := text(&two, 100); got != "gun" {
		t.Errorf("sent %q; want the rest of what was begun", got)
	}
}

// TestMessagesMove checks that a message is moved with its draft's channels, and what Append does not write.
func TestMessagesMove(t *testing.T) {
	var total atomic.Int64
	m := hub.NewMessage(hub.Record{ID: 5, Event: "e", Data: []byte("1"), JSON: true}, []string{"a", "b"})
	q := New(NewMemory(&total), Item{Bytes: m.Data, Message: m, Shared: true}, 0)
	all := Messages{}
	all.Add(&q)
	b := all.Append(nil)
	got, err := ParseMessages(MessagesVersion, b)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	k := got[messageKey{5, "a"}]
	if k == nil || !k.SameChannels(m) || k.Event != "e" || string(k.Data) != "1" || !k.JSON || k.Binary {
		t.Errorf("%+v", k)
	}
	for n := range b {
		if _, err := ParseMessages(MessagesVersion, b[:n]); !errors.Is(err, plainval.ErrBad) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := Restore(NewMemory(&total), q.Items(), Messages{}, nil); err == nil {
		t.Error("a message that has not moved is not missed")
	}
	q.Release()
	if n := total.Load(); n != 0 {
		t.Errorf("%d bytes are counted in no queue", n)
	}
}
