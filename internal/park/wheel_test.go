package park

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const modelConns = 300 // more than a page of slots

// wheelModel is what a wheel should do, the simple way.
type wheelModel struct {
	t   *testing.T
	rng *rand.Rand
	w   *wheel
	now uint32
	due map[int32]uint32 // deadlines that are set
}

func newWheelModel(t *testing.T, seed uint64) *wheelModel {
	s := newSlots(modelConns)
	for n := range modelConns {
		if _, err := s.take(n); err != nil {
			t.Fatal(err)
		}
	}
	m := &wheelModel{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), w: newWheel(s), now: 1, due: map[int32]uint32{},
	}
	m.w.perTurn = 1 + m.rng.IntN(5)
	return m
}

func (m *wheelModel) set(n int32, due uint32) {
	m.w.set(m.w.slots.get(n), due)
	m.due[n] = due
}

// clear is SetDeadline(0): the slot stays linked.
func (m *wheelModel) clear(n int32) {
	m.w.slots.get(n).due = 0
	delete(m.due, n)
}

// close is what Close does.
func (m *wheelModel) close(n int32) {
	m.w.unlink(m.w.slots.get(n))
	m.w.slots.get(n).due = 0
	delete(m.due, n)
}

// advance moves both on and compares. While the wheel is at it, expired connections set, clear and
// close deadlines, their own and others'.
func (m *wheelModel) advance(by uint32, meddle bool) {
	m.now += by
	for _, due := range m.due {
		if m.w.nearest == 0 || due < m.w.nearest {
			m.t.Fatalf("tick %d: a deadline at %d, but the nearest is said to be %d", m.now, due, m.w.nearest)
		}
	}
	for m.w.advance(m.now, func(c *Conn) {
		due, ok := m.due[c.fd]
		if !ok || due > m.now {
			m.t.Fatalf("tick %d: slot %d expired; its deadline is %d, set: %v", m.now, c.fd, due, ok)
		}
		delete(m.due, c.fd)
		if c.due != 0 {
			m.t.Fatalf("tick %d: slot %d expired with its deadline still set", m.now, c.fd)
		}
		if !meddle {
			return
		}
		switch other := int32(m.rng.IntN(modelConns)); m.rng.IntN(5) {
		case 0:
			m.set(c.fd, m.now+m.ahead())
		case 1:
			m.set(other, m.now+m.ahead())
		case 2:
			m.clear(other)
		case 3:
			m.close(other)
		}
	}) {
		continue // the next slice
	}
	for n, due := range m.due {
		if due <= m.now {
			m.t.Fatalf("tick %d: slot %d did not expire; it was due at %d", m.now, n, due)
		}
	}
	m.check()
}

// ahead is how far away a deadline is: mostly near, sometimes about a lap of the wheel, or many.
func (m *wheelModel) ahead() uint32 {
	switch m.rng.IntN(8) {
	case 0:
		return wheelSize - 3 + uint32(m.rng.IntN(6))
	case 1:
		return 1 + uint32(m.rng.IntN(5*wheelSize))
	case 2:
		return 1<<20 + uint32(m.rng.IntN(10))
	}
	return 1 + uint32(m.rng.IntN(100))
}

// check walks every bucket.
func (m *wheelModel) check() {
	seen := map[int32]bool{}
	for i, head := range m.w.heads {
		prev := int32(none)
		for n := head; n != none; n = m.w.slots.get(n).next {
			c := m.w.slots.get(n)
			switch {
			case seen[n]:
				m.t.Fatalf("tick %d: slot %d is linked twice", m.now, n)
			case c.prev != prev:
				m.t.Fatalf("tick %d: slot %d follows %d, and says %d", m.now, n, prev, c.prev)
			case c.state&connLinked == 0 || int(c.at%wheelSize) != i:
				m.t.Fatalf("tick %d: slot %d, linked at %d, is in bucket %d", m.now, n, c.at, i)
			case c.at < m.w.nearest || m.w.nearest == 0:
				m.t.Fatalf("tick %d: slot %d is linked at %d; the nearest is %d", m.now, n, c.at, m.w.nearest)
			}
			seen[n] = true
			prev = n
		}
	}
	if len(seen) != m.w.linked {
		m.t.Fatalf("tick %d: %d are linked, %d are counted", m.now, len(seen), m.w.linked)
	}
	for _, n := range slices.Sorted(maps.Keys(m.due)) {
		if !seen[n] || m.w.slots.get(n).due != m.due[n] {
			m.t.Fatalf("tick %d: slot %d is due at %d, wanted %d; linked: %v", m.now, n, m.w.slots.get(n).due, m.due[n], seen[n])
		}
	}
}

// TestWheelAgainstModel sets, clears, closes and advances at random.
func TestWheelAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PARK_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PARK_SEED=%d", seed)
	m := newWheelModel(t, seed)
	for range 4000 {
		for range m.rng.IntN(20) {
			n := int32(m.rng.IntN(modelConns))
			switch m.rng.IntN(6) {
			case 0:
				m.clear(n)
			case 1:
				m.close(n)
			default:
				m.set(n, m.now+m.ahead())
			}
		}
		switch m.rng.IntN(20) {
		case 0: // the loop was asleep
			m.advance(uint32(m.rng.IntN(3*wheelSize)), true)
		case 1:
			m.advance(wheelSize-1+uint32(m.rng.IntN(3)), true)
		case 2:
			m.advance(0, true)
		default:
			m.advance(1+uint32(m.rng.IntN(4)), true)
		}
	}
}

// TestWheelLaps: a deadline many laps away is passed over on each lap and fires on its tick.
func TestWheelLaps(t *testing.T) {
	for _, due := range []uint32{wheelSize - 1, wheelSize, wheelSize + 1, 2 * wheelSize, 7*wheelSize + 13} {
		m := newWheelModel(t, 1)
		m.set(0, m.now+due) // slot 0 is a slot as well
		m.set(299, m.now+due)
		for range due - 1 {
			m.advance(1, false)
		}
		if len(m.due) != 2 {
			t.Fatalf("%d ticks ahead: fired early", due)
		}
		m.advance(1, false)
		if len(m.due) != 0 || m.w.linked != 0 || m.w.nearest != 0 {
			t.Errorf("%d ticks ahead: %d left, %d linked, nearest %d", due, len(m.due), m.w.linked, m.w.nearest)
		}
	}
}

// TestWheelMovesLaterForNothing: a deadline that is put off stays where it is linked until its bucket
// comes up, which is what makes one per request cheap.
func TestWheelMovesLaterForNothing(t *testing.T) {
	m := newWheelModel(t, 1)
	c := m.w.slots.get(5)
	m.set(5, m.now+10)
	at := c.at
	for i := range uint32(100) {
		m.set(5, m.now+11+i)
		if c.at != at {
			t.Fatalf("put off %d ticks, it moved from %d to %d", i, at, c.at)
		}
	}
	m.set(5, m.now+3)
	if c.at != m.now+3 {
		t.Errorf("a deadline that comes earlier is linked at %d, wanted %d", c.at, m.now+3)
	}
	m.advance(3, false)
	if len(m.due) != 0 {
		t.Error("it did not fire")
	}
}

// TestDeadlineIsAtMostATickLate: a loop that does nothing else sleeps as long as untilExpiry says. No
// deadline may fire early, or more than a tick late.
func TestDeadlineIsAtMostATickLate(t *testing.T) {
	for _, idle := range []time.Duration{0, 1, tickLength / 2, tickLength - 1, tickLength, 1234567 * time.Microsecond} {
		busy := idle % (tickLength * 3 / 2) // since the round of events began
		for _, d := range []time.Duration{1, time.Millisecond, tickLength - 1, tickLength, tickLength + 1, 3 * time.Second, 5 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				s := newSlots(1)
				l := &Loop{wheel: newWheel(s), tick: 1, start: time.Now()}
				c, err := s.take(0)
				if err != nil {
					t.Fatal(err)
				}
				c.owner.Store(l)
				time.Sleep(idle)
				l.clock()
				l.wheel.advance(l.tick, func(*Conn) {})
				time.Sleep(busy)
				set := time.Now()
				c.SetDeadline(d)
				for fired := false; !fired; {
					time.Sleep(l.untilExpiry())
					l.clock()
					l.wheel.advance(l.tick, func(*Conn) { fired = true })
				}
				if late := time.Since(set) - d; late < 0 || late > tickLength {
					t.Errorf("%v after the start, a deadline in %v is %v late", idle, d, late)
				}
			})
		}
	}
}

// TestWheelExpiresInSlices: deadlines that pass in one tick expire over many turns.
func TestWheelExpiresInSlices(t *testing.T) {
	const conns = 1000
	s := newSlots(conns)
	w := newWheel(s)
	for n := range conns {
		c, err := s.take(n)
		if err != nil {
			t.Fatal(err)
		}
		w.set(c, 5)
	}
	total, turns := 0, 0
	for more := true; more; turns++ {
		n := 0
		more = w.advance(7, func(*Conn) { n++ })
		if n > expiredPerTurn {
			t.Fatalf("%d expired in one turn", n)
		}
		total += n
	}
	if want := (conns + expiredPerTurn - 1) / expiredPerTurn; total != conns || turns != want || w.nearest != 0 {
		t.Errorf("%d expired in %d turns, nearest %d; want %d in %d", total, turns, w.nearest, conns, want)
	}
}
