package appcall

import (
	"bytes"
	"encoding/json"
	"time"

	"holdfast/internal/hub"
)

// Event is one event of a webhook. Members that its type does not have are empty and not sent.
type Event struct {
	Type string    // one of those below
	At   time.Time // when it happened

	Channel    string
	User       string
	Connection string
	Transport  string   // of a connection
	Channels   []string // of a connection, when it begins
	Reason     string   // why a connection ended
}

// The types of events.
const (
	EventStart      = "start"      // Holdfast has started: no client is connected, whatever earlier events say
	EventConnect    = "connect"    // a connection is held
	EventDisconnect = "disconnect" // it no longer is
	EventOccupied   = "occupied"   // a channel has a subscriber
	EventVacated    = "vacated"    // it has had none for the grace period
	EventOnline     = "online"     // a user has a connection
	EventOffline    = "offline"    // the user has had none for the grace period
	EventLost       = "lost"       // so many events before it were dropped
)

// eventJSON is an Event, but for its id, on the wire.
type eventJSON struct {
	Type       string   `json:"type"`
	At         string   `json:"at"`
	Channel    string   `json:"channel,omitempty"`
	User       string   `json:"user,omitempty"`
	Connection string   `json:"connection,omitempty"`
	Transport  string   `json:"transport,omitempty"`
	Channels   []string `json:"channels,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Count      uint64   `json:"count,omitempty"`
}

// eventTime is RFC 3339 with milliseconds, always as long.
const eventTime = "2006-01-02T15:04:05.000Z07:00"

// encodeEvent returns the members of an event's object, without the braces.
func encodeEvent(e eventJSON) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(err) // strings and numbers only
	}
	return bytes.Clone(b.Bytes()[1 : b.Len()-2])
}

func (e *Event) encode() []byte {
	return encodeEvent(eventJSON{
		Type: e.Type, At: e.At.UTC().Format(eventTime), Channel: e.Channel, User: e.User,
		Connection: e.Connection, Transport: e.Transport, Channels: e.Channels, Reason: e.Reason,
	})
}

// appendEvent appends an event's object to a batch.
func appendEvent(b []byte, id hub.ID, members []byte) []byte {
	b = append(b, `{"id":"`...)
	b = id.Append(b)
	b = append(b, `",`...)
	b = append(b, members...)
	return append(b, '}')
}
