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
type publisher struct {
	*hub.Hub
	onChanged func(channel string) // see Options.OnChanged
}

// complete gives a draft without data the number of its subscribers, and reports whether it is one.
func (p publisher) complete(d *hub.Draft) bool {
	if !d.JSON || len(d.Data) > 0 {
		return false
	}
	d.Data = append(strconv.AppendInt([]byte(`{"subscribers":`), int64(p.Count(d.Channels)), 10), '}')
	return true
}

// tell calls onChanged for the channels of notifications.
func (p publisher) tell(channels []string) {
	for _, name := range channels {
		if p.onChanged != nil {
			p.onChanged(name)
		}
	}
}

// Publish is Hub.Publish.
func (p publisher) Publish(drafts []hub.Draft) ([]hub.Receipt, error) {
	var changed []string
	for i := range drafts {
		if p.complete(&drafts[i]) {
			changed = append(changed, drafts[i].Channels...)
		}
	}
	receipts, err := p.Hub.Publish(drafts)
	if err == nil {
		p.tell(changed)
	}
	return receipts, err
}

// PublishOne is Hub.PublishOne.
func (p publisher) PublishOne(d hub.Draft) (hub.Receipt, error) {
	changed := p.complete(&d)
	receipt, err := p.Hub.PublishOne(d)
	if err == nil && changed {
		p.tell(d.Channels)
	}
	return receipt, err
}
