package sendqueue

import (
	"fmt"

	"holdfast/internal/heldrecord"
	"holdfast/internal/hub"
	"holdfast/internal/plainval"
)

// Items returns what is queued. Of an item that is partly written it has the rest, which is never dropped.
func (q *Queue) Items() []heldrecord.Item {
	list := make([]heldrecord.Item, 0, len(q.list))
	for i := range q.list {
		e := &q.list[i]
		s := heldrecord.Item{Gap: e.isGap(), Counted: e.cost > 0}
		switch {
		case i == 0 && q.off > 0:
			s.Bytes = e.b[q.off:]
		case e.m == nil:
			s.Bytes = e.b
		default:
			s.Message, s.Channel = uint64(e.m.ID), e.m.Channel
		}
		list = append(list, s)
	}
	return list
}

// Restore returns a queue with the items of another process, whose messages are in all. render renders them.
func Restore(m *Memory, items []heldrecord.Item, all Messages, render func(*hub.Message) []byte) (Queue, error) {
	q := Queue{memory: m}
	for _, s := range items {
		k := all[messageKey{hub.ID(s.Message), s.Channel}]
		switch {
		case s.Message == 0:
			q.Push(Item{Bytes: s.Bytes, Counted: s.Counted})
		case k == nil:
			q.Release()
			return Queue{}, fmt.Errorf("a queue has message %d of %.100q, which has not moved", s.Message, s.Channel)
		case s.Gap:
			q.list = append(q.list, entry{m: k, cost: EntryCost})
			q.count(&q.list[len(q.list)-1])
		default:
			q.Push(Item{Bytes: render(k), Message: k, Shared: true, Counted: s.Counted})
		}
	}
	return q, nil
}

// Messages are the messages in queues. Several queues have most of them.
type Messages map[messageKey]*hub.Message

type messageKey struct {
	id      hub.ID
	channel string
}

// MessagesVersion is the version of what Append appends.
const MessagesVersion = 1

// Add adds the messages of a queue.
func (l Messages) Add(q *Queue) {
	for i := range q.list {
		if m := q.list[i].m; m != nil {
			l[messageKey{m.ID, m.Channel}] = m
		}
	}
}

// Append appends the messages to b.
func (l Messages) Append(b []byte) []byte {
	e := plainval.Encoder{B: b}
	e.Uint(uint64(len(l)))
	for _, m := range l {
		e.Uint(uint64(m.ID))
		e.Strings(m.Channels())
		e.String(m.Event)
		e.Bytes(m.Data)
		e.Bool(m.JSON)
	}
	return e.B
}

// ParseMessages reads what Append of this or an earlier version has appended.
func ParseMessages(version uint16, b []byte) (Messages, error) {
	if version == 0 || version > MessagesVersion {
		return nil, fmt.Errorf("messages in queues: version %d is not known", version)
	}
	l, d := Messages{}, plainval.NewDecoder(b)
	for range d.Count() {
		r := hub.Record{ID: hub.ID(d.Uint())}
		channels := d.Strings()
		r.Event, r.Data, r.JSON = d.String(), append([]byte{}, d.Bytes()...), d.Bool()
		if d.Err() == nil && (r.ID == 0 || len(channels) == 0) {
			d.Fail("a message without an ID or a channel")
		}
		if d.Err() != nil {
			break
		}
		l[messageKey{r.ID, channels[0]}] = hub.NewMessage(r, channels)
	}
	return l, d.End()
}
