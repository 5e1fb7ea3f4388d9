package sendqueue

import "holdfast/internal/hub"

// Saved is an item as another process restores it.
type Saved struct {
	Bytes   []byte       // nil: those of the message
	Message *hub.Message // nil: none
	Gap     bool         // messages up to this one were dropped
	Counted bool
}

// Items returns what is queued. Of an item that is partly written it has the rest, which is never dropped.
func (q *Queue) Items() []Saved {
	list := make([]Saved, 0, len(q.list))
	for i := range q.list {
		e := &q.list[i]
		s := Saved{Message: e.m, Gap: e.isGap(), Counted: e.cost > 0}
		if i == 0 && q.off > 0 {
			s.Message, s.Bytes = nil, e.b[q.off:]
		} else if e.m == nil {
			s.Bytes = e.b
		}
		list = append(list, s)
	}
	return list
}

// Restore returns a queue with the items of another process. render renders messages.
func Restore(m *Memory, items []Saved, render func(*hub.Message) []byte) Queue {
	q := Queue{memory: m}
	for _, s := range items {
		switch {
		case s.Gap:
			q.list = append(q.list, entry{m: s.Message, cost: EntryCost})
			q.count(&q.list[len(q.list)-1])
		case s.Message != nil:
			q.Push(Item{Bytes: render(s.Message), Message: s.Message, Shared: true, Counted: s.Counted})
		default:
			q.Push(Item{Bytes: s.Bytes, Counted: s.Counted})
		}
	}
	return q
}
