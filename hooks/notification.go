package hooks

import (
	"strconv"

	"holdfast/internal/hub"
)

// changedEvent is the event of a message without data, unless it has another: something has changed, see for yourself.
const changedEvent = "changed"

// notification makes a draft one without data. What it has instead is made when it is published: the number of its
// subscribers, by which they spread their requests for what has changed.
func notification(d *hub.Draft) {
	d.Data, d.JSON = nil, true // no JSON is empty
	if d.Event == "" {
		d.Event = changedEvent
	}
}

// publisher publishes drafts that may be notifications.
type publisher struct{ *hub.Hub }

// complete gives a draft without data the number of its subscribers.
func (p publisher) complete(d *hub.Draft) {
	if d.JSON && len(d.Data) == 0 {
		d.Data = append(strconv.AppendInt([]byte(`{"subscribers":`), int64(p.Count(d.Channels)), 10), '}')
	}
}

// Publish is Hub.Publish.
func (p publisher) Publish(drafts []hub.Draft) ([]hub.Receipt, error) {
	for i := range drafts {
		p.complete(&drafts[i])
	}
	return p.Hub.Publish(drafts)
}

// PublishOne is Hub.PublishOne.
func (p publisher) PublishOne(d hub.Draft) (hub.Receipt, error) {
	p.complete(&d)
	return p.Hub.PublishOne(d)
}
