package hub

import "testing"

// faulty panics at its first message.
type faulty struct {
	membership Membership
	got        int
}

func (f *faulty) Membership() *Membership { return &f.membership }

func (f *faulty) Deliver(batch []*Message) {
	if f.got++; f.got == 1 {
		panic("faulty")
	}
}

// A lane goes on behind a subscriber that panics: the others of its group have the message, and later ones wake it.
func TestPanicInDeliver(t *testing.T) {
	h := New(Options{Lanes: 1})
	lane := h.Lane(0)
	woken := 0
	lane.OnWork(func() { woken++ })
	first, second := new(faulty), &faulty{got: 1}
	lane.Join(first, []string{"a"}, 0, false)
	lane.Join(second, []string{"a"}, 0, false)
	for want := 1; want <= 2; want++ {
		if _, err := h.Publish([]Draft{{Channels: []string{"a"}, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		if woken != want {
			t.Fatalf("woken %d times; want %d", woken, want)
		}
		for more := true; more; {
			func() {
				defer func() { recover() }()
				more = lane.Step(1)
			}()
		}
		if first.got != want || second.got != want+1 {
			t.Fatalf("got %d and %d; want %d and %d", first.got, second.got, want, want+1)
		}
	}
}
