package hooks

import "holdfast/internal/hub"

// waitingCost is what an event takes besides its text, in bytes.
const waitingCost = 64

// waiting is an event that the app has not taken yet.
type waiting struct {
	id   hub.ID
	text []byte // its members
}

func (w *waiting) cost() int64 { return int64(len(w.text) + waitingCost) }

// spill is what the app has not taken yet, oldest first: what was posted last and has to be posted again, and what
// comes after that. Past its bounds the oldest goes, but never what is on its way. The Teller's lock guards it.
type spill struct {
	flight   []waiting
	queue    []waiting // queue[:head] is gone
	head     int
	bytes    int64
	posting  bool // flight is on its way
	lost     uint64
	lostID   hub.ID // of the newest that was lost
	maxCount int
	maxBytes int64
}

func (s *spill) count() int { return len(s.flight) + len(s.queue) - s.head }

// push appends an event and returns how many had to go for it.
func (s *spill) push(w waiting) (dropped uint64) {
	s.queue = append(s.queue, w)
	s.bytes += w.cost()
	for s.count() > s.maxCount || s.bytes > s.maxBytes {
		var oldest waiting
		switch {
		case !s.posting && len(s.flight) > 0:
			oldest, s.flight = s.flight[0], s.flight[1:]
		case s.head < len(s.queue):
			oldest = s.shift()
		default:
			return dropped // all that is left is on its way
		}
		s.bytes -= oldest.cost()
		s.lost++
		s.lostID = max(s.lostID, oldest.id)
		dropped++
	}
	return dropped
}

// shift takes the oldest off the queue.
func (s *spill) shift() waiting {
	w := s.queue[s.head]
	s.queue[s.head] = waiting{}
	if s.head++; s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
		if cap(s.queue) > 1024 {
			s.queue = nil
		}
	} else if s.head >= 1024 && s.head >= len(s.queue)/2 {
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	return w
}

// take returns what is to be posted now: what was posted before without success, or else the next ones, at most
// count and about size bytes. It is on its way until taken or back.
func (s *spill) take(count int, size int64) []waiting {
	if len(s.flight) == 0 {
		for s.head < len(s.queue) && len(s.flight) < count {
			if size -= s.queue[s.head].cost(); size < 0 && len(s.flight) > 0 {
				break
			}
			s.flight = append(s.flight, s.shift())
		}
	}
	s.posting = true
	return s.flight
}

// taken forgets what was on its way: the app has it, and was told of that many losses.
func (s *spill) taken(lost uint64) {
	for i := range s.flight {
		s.bytes -= s.flight[i].cost()
	}
	s.flight, s.posting = nil, false
	s.lost -= lost
}

// back keeps what was on its way for another time.
func (s *spill) back() { s.posting = false }
