package sendqueue

import (
	"sync/atomic"
	"testing"

	"holdfast/internal/hub"
)

func renderGap(m *hub.Message) []byte { return []byte("<" + m.Channel + ">") }

// text writes n bytes at a time and returns all of them.
func text(q *Queue, n int) (s string) {
	buf := make([]byte, 0, 16)
	for !q.Empty() {
		b := q.Next(buf, renderGap)
		b = b[:min(n, len(b))]
		s += string(b)
		q.Written(len(b))
	}
	return s
}

func message(channel, data string) Item {
	return Item{Bytes: []byte(data), Message: &hub.Message{Channel: channel}, Shared: true, Counted: true}
}

func TestQueue(t *testing.T) {
	all := func(*hub.Message) bool { return true }
	onlyA := func(m *hub.Message) bool { return m.Channel == "a" }
	for _, tt := range []struct {
		name   string
		change func(q *Queue)
		want   string
	}{
		{"as it is", func(*Queue) {}, "egun1122334"},
		{"superseded", func(q *Queue) { q.DropSuperseded(nil, &hub.Message{Channel: "a"}, all) }, "egun224"},
		{"superseded, but its rule forbids it", func(q *Queue) { q.DropSuperseded(nil, &hub.Message{Channel: "b"}, onlyA) }, "egun1122334"},
		{"begun ones stay", func(q *Queue) { q.DropSuperseded(nil, &hub.Message{Channel: "x"}, all) }, "egun1122334"},
		{"room for one", func(q *Queue) { q.MakeRoom(1, q.Size(), onlyA) }, "egun<a>22334"},
		{"room for many", func(q *Queue) { q.MakeRoom(1<<20, 0, all) }, "egun<a><b>4"},
		{"room of one channel", func(q *Queue) { q.MakeRoom(1<<20, 0, onlyA) }, "egun<a>224"},
		{"dropped after its gap was written", func(q *Queue) {
			q.MakeRoom(1, q.Size(), onlyA)
			q.Next(make([]byte, 0, 100), renderGap)
			q.MakeRoom(1<<20, 0, onlyA)
		}, "egun<a>22<a>4"},
	} {
		for _, at := range []int{1, 2, 3, 100} {
			var total atomic.Int64
			q := New(NewMemory(&total), message("x", "begun"), 1)
			for _, i := range []Item{message("a", "11"), message("b", "22"), message("a", "33"), {Bytes: []byte("4")}} {
				q.Push(i)
			}
			tt.change(&q)
			if got := text(&q, at); got != tt.want || total.Load() != 0 || q.Size() != 0 || len(q.memory.shared) != 0 {
				t.Errorf("%s, %d bytes at a time: %q, and %d bytes of %d items left; want %q and none", tt.name, at, got, total.Load(), q.Size(), tt.want)
			}
		}
	}
}

// subscriber has what a hub hands over.
type subscriber struct {
	membership hub.Membership
	got        []*hub.Message
}

func (s *subscriber) Membership() *hub.Membership  { return &s.membership }
func (s *subscriber) Deliver(batch []*hub.Message) { s.got = append(s.got, batch...) }

// TestGapOfLeftChannel: a message that was dropped is missed on every channel that the client keeps.
func TestGapOfLeftChannel(t *testing.T) {
	h := hub.New(hub.Options{})
	lane, s := h.Lane(0), new(subscriber)
	lane.Join(s, []string{"a", "b", "c"}, 0, false)
	for _, channels := range [][]string{{"a", "b"}, {"a", "b"}, {"a", "c"}, {"a"}} {
		if _, err := h.PublishOne(hub.Draft{Channels: channels, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	for lane.Step(100) {
	}
	var total atomic.Int64
	q := New(NewMemory(&total), message("x", "begun"), 1)
	for _, m := range s.got {
		q.Push(Item{Bytes: []byte("m"), Message: m, Counted: true})
	}
	q.MakeRoom(1<<20, 0, func(*hub.Message) bool { return true })
	lane.Join(s, []string{"b", "c"}, 0, false)
	q.RemoveLeft(s.membership.Group(), func(*hub.Message) []byte { return []byte("m") })
	if got := text(&q, 100); got != "egun<b><c>" || total.Load() != 0 || q.Size() != 0 {
		t.Errorf("%q, and %d bytes of %d items left; want the gaps of what is kept, and none", got, total.Load(), q.Size())
	}
}

// TestSharedBytesCountOnce checks that a rendering that several queues of a loop have counts once, until the last one
// lets go of it.
func TestSharedBytesCountOnce(t *testing.T) {
	var total atomic.Int64
	m := NewMemory(&total)
	i := message("a", "0123456789")
	one, two := New(m, i, 0), New(m, i, 5)
	if n := total.Load(); n != 2*EntryCost+10 || one.Size() != EntryCost+10 {
		t.Errorf("%d bytes in two queues, %d in one", n, one.Size())
	}
	one.Release()
	if n := total.Load(); n != EntryCost+10 {
		t.Errorf("%d bytes in the one that is left", n)
	}
	if two.Written(5); total.Load() != 0 || !two.Empty() {
		t.Errorf("%d bytes after all is written", total.Load())
	}
}

// TestGapStaysWhenAWriteEndsInFrontOfIt checks that a gap whose turn has not come, and which so has no bytes yet, is not
// taken for written.
func TestGapStaysWhenAWriteEndsInFrontOfIt(t *testing.T) {
	for written, want := range map[int]int{4: 3, 5: 2} { // bytes taken; entries that wait then
		q := Queue{memory: NewMemory(new(atomic.Int64))}
		q.list = []entry{{b: []byte("first")}, {m: &hub.Message{Channel: "a"}}, {b: []byte("last")}}
		q.Written(written)
		if n := len(q.list); n != want || !q.list[n-2].isGap() {
			t.Errorf("after %d bytes %d entries wait, %+v; want %d, with the gap before the last", written, n, q.list, want)
		}
	}
}

// TestBegun checks which bytes a client can't do without when its connection is to be closed.
func TestBegun(t *testing.T) {
	for _, tt := range []struct {
		name  string
		item  Item
		n     int
		begun string
	}{
		{"a message", message("a", "text"), 0, ""},
		{"a message that was begun", message("a", "text"), 1, "ext"},
		{"the rest of something else", Item{Bytes: []byte("rest")}, 0, "rest"},
	} {
		q := New(NewMemory(new(atomic.Int64)), tt.item, tt.n)
		if got := string(q.Begun()); got != tt.begun {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.begun)
		}
	}
}
