package appcall

import "holdfast/internal/hub"

// eventOverhead is what a queued event takes besides its text, in bytes.
const eventOverhead = 64

// queuedEvent is an event that the app has not accepted yet.
type queuedEvent struct {
	id   hub.ID
	text []byte // its members
}

func (e *queuedEvent) cost() int64 { return int64(len(e.text) + eventOverhead) }

// eventQueue has the events that the app has not accepted yet, oldest first: the last batch if it has to be posted
// again, and what comes after it. Over its limits it drops the oldest, but never a batch that is being posted. The
// EventSender's lock guards it.
type eventQueue struct {
	inFlight []queuedEvent
	queue    []queuedEvent // queue[:head] is gone
	head     int
	bytes    int64
	posting  bool // inFlight is being posted
	lost     uint64
	lostID   hub.ID // of the newest that was dropped
	maxCount int
	maxBytes int64
}

func (q *eventQueue) count() int { return len(q.inFlight) + len(q.queue) - q.head }

// push appends an event and returns how many were dropped for it.
func (q *eventQueue) push(e queuedEvent) (dropped uint64) {
	q.queue = append(q.queue, e)
	q.bytes += e.cost()
	for q.count() > q.maxCount || q.bytes > q.maxBytes {
		var oldest queuedEvent
		switch {
		case !q.posting && len(q.inFlight) > 0:
			oldest, q.inFlight = q.inFlight[0], q.inFlight[1:]
		case q.head < len(q.queue):
			oldest = q.shift()
		default:
			return dropped // all that is left is being posted
		}
		q.bytes -= oldest.cost()
		q.lost++
		q.lostID = max(q.lostID, oldest.id)
		dropped++
	}
	return dropped
}

// shift removes the oldest of the queue.
func (q *eventQueue) shift() queuedEvent {
	e := q.queue[q.head]
	q.queue[q.head] = queuedEvent{}
	if q.head++; q.head == len(q.queue) {
		q.queue, q.head = q.queue[:0], 0
		if cap(q.queue) > 1024 {
			q.queue = nil
		}
	} else if q.head >= 1024 && q.head >= len(q.queue)/2 {
		n := copy(q.queue, q.queue[q.head:])
		clear(q.queue[n:])
		q.queue, q.head = q.queue[:n], 0
	}
	return e
}

// take returns what is to be posted now: the batch that was posted before without success, or else the next events, at
// most count and about size bytes. They are in flight until ack or requeue.
func (q *eventQueue) take(count int, size int64) []queuedEvent {
	if len(q.inFlight) == 0 {
		for q.head < len(q.queue) && len(q.inFlight) < count {
			if size -= q.queue[q.head].cost(); size < 0 && len(q.inFlight) > 0 {
				break
			}
			q.inFlight = append(q.inFlight, q.shift())
		}
	}
	q.posting = true
	return q.inFlight
}

// ack removes what is in flight: the app has accepted it, and knows of that many lost events.
func (q *eventQueue) ack(lost uint64) {
	for i := range q.inFlight {
		q.bytes -= q.inFlight[i].cost()
	}
	q.inFlight, q.posting = nil, false
	q.lost -= lost
}

// clear removes everything but what is being posted.
func (q *eventQueue) clear() {
	cleared := eventQueue{posting: q.posting, maxCount: q.maxCount, maxBytes: q.maxBytes}
	if q.posting {
		cleared.inFlight = q.inFlight
		for i := range q.inFlight {
			cleared.bytes += q.inFlight[i].cost()
		}
	}
	*q = cleared
}

// requeue leaves what is in flight for another attempt.
func (q *eventQueue) requeue() { q.posting = false }
