package park

import "time"

// tickLength is how coarse deadlines are.
const tickLength = 100 * time.Millisecond

// wheelSize is the number of buckets: 102 s. A later deadline is linked in the last one, and moved when its turn comes.
const wheelSize = 1024

// none ends a bucket's list. Slot 0 is a valid number.
const none = -1

// wheel is a hashed timing wheel whose list links live in the slots: a deadline costs no allocation,
// and moving one to a later time, which every request does, costs one store: the slot stays where it
// is linked and is moved only when its bucket comes up.
type wheel struct {
	slots   *slots
	heads   [wheelSize]int32
	done    uint32 // every bucket up to this tick is done
	nearest uint32 // no slot is linked at an earlier tick; 0 when none is linked
	linked  int
	perTurn int // expirations in one advance
}

func newWheel(s *slots) *wheel {
	w := &wheel{slots: s, perTurn: expiredPerTurn}
	for i := range w.heads {
		w.heads[i] = none
	}
	return w
}

// due returns the first tick that begins d from now or later.
func (l *Loop) due(d time.Duration) uint32 {
	d = min(d, 1<<30*tickLength)
	return uint32((time.Since(l.start)+d+tickLength-1)/tickLength) + 1
}

func (w *wheel) set(c *Conn, due uint32) {
	c.due = due
	if c.state&connLinked != 0 {
		if c.at <= due {
			return
		}
		w.unlink(c)
	}
	w.link(c)
}

func (w *wheel) link(c *Conn) {
	c.at = min(max(c.due, w.done+1), w.done+wheelSize-1)
	head := &w.heads[c.at%wheelSize]
	c.prev, c.next = none, *head
	if *head != none {
		w.slots.get(*head).prev = c.fd
	}
	*head = c.fd
	c.state |= connLinked
	w.linked++
	if w.nearest == 0 || c.at < w.nearest {
		w.nearest = c.at
	}
}

func (w *wheel) unlink(c *Conn) {
	if c.state&connLinked == 0 {
		return
	}
	if c.prev != none {
		w.slots.get(c.prev).next = c.next
	} else {
		w.heads[c.at%wheelSize] = c.next
	}
	if c.next != none {
		w.slots.get(c.next).prev = c.prev
	}
	c.state &^= connLinked
	w.linked--
}

// expiredPerTurn is how many deadlines expire in one turn of the loop: a thousand long polls may end in one tick.
const expiredPerTurn = 64

// advance calls expired for connections whose deadline has passed by tick now, and reports whether there are more.
// expired may set or clear deadlines and close connections.
func (w *wheel) advance(now uint32, expired func(*Conn)) (more bool) {
	left := w.perTurn
	if w.nearest == 0 || now < w.nearest { // every bucket up to now is empty
		w.done = now
		return false
	}
	w.done = w.nearest - 1
	if now-w.done > wheelSize { // after a long sleep one round of the wheel sees every slot
		w.done = now - wheelSize
	}
	for w.done < now {
		w.done++
		for fd := w.heads[w.done%wheelSize]; fd != none; fd = w.heads[w.done%wheelSize] {
			if left == 0 {
				w.done-- // this bucket is not done
				w.nearest = w.done + 1
				return true
			}
			c := w.slots.get(fd)
			w.unlink(c)
			switch {
			case c.due == 0:
			case c.due <= now:
				left--
				c.due = 0
				expired(c)
			default:
				w.link(c)
			}
		}
	}
	w.nearest = 0
	if w.linked == 0 {
		return false
	}
	for t := w.done + 1; t < w.done+wheelSize; t++ {
		if w.heads[t%wheelSize] != none {
			w.nearest = t
			return false
		}
	}
	return false
}
