package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/strictjson"
)

// maxEvent is the longest name of an event, in bytes.
const maxEvent = 64

// deliveryTimeout limits a publish with wait=delivered. Delivery waits for no client, so it takes much less unless the
// process is short of everything.
const deliveryTimeout = 10 * time.Second

// storeTimeout limits how long a publish waits for the disk, if history is there.
const storeTimeout = 10 * time.Second

// receipt is the result of a message.
type receipt struct {
	ID              string `json:"id"`
	Subscribers     int    `json:"subscribers"`
	*deliveryCounts        // with wait=delivered
}

// deliveryCounts says where a message is for its subscribers.
type deliveryCounts struct {
	Delivered int `json:"delivered"` // their sockets have accepted it
	Waiting   int `json:"waiting"`   // it is queued until they read
	Dropped   int `json:"dropped"`   // they left before it, or were closed
}

// awaitDelivery waits until every subscriber was handed the message, and returns the counts; nil if nobody counts.
func awaitDelivery(ctx context.Context, r hub.Receipt) *deliveryCounts {
	if r.Track == nil {
		return nil
	}
	done := false
	select {
	case <-r.Track.Done():
		done = true
	case <-ctx.Done():
	}
	var f deliveryCounts
	f.Delivered, f.Waiting = r.Track.Counts()
	if rest := max(r.Subscribers-f.Delivered-f.Waiting, 0); done {
		f.Dropped = rest
	} else {
		f.Waiting += rest
	}
	return &f
}

// publish answers POST /publish.
func (s *Server) publish(c *call) error {
	if e := c.ctx.Request.Header.ContentEncoding(); len(e) > 0 && !strings.EqualFold(string(e), "identity") {
		return fmt.Errorf("%w: %.100q; send the body as it is", errEncoding, e)
	}
	query, err := parseQuery(c.query, "channel", "event", "wait")
	if err != nil {
		return err
	}
	wait := query.Has("wait")
	if v := query["wait"]; wait && (len(v) > 1 || v[0] != "delivered") {
		return fmt.Errorf("%w: wait=%.100q; the only value is delivered", errQuery, v[0])
	}
	body := c.ctx.Request.Body()
	var drafts []hub.Draft
	var keys []string
	batch := false
	switch {
	case query.Has("channel"):
		drafts = []hub.Draft{{Channels: query["channel"], Data: bytes.Clone(body)}}
		if v := query["event"]; len(v) > 1 {
			return fmt.Errorf("%w: given %d times", errEvent, len(v))
		} else if len(v) == 1 {
			if err := validEvent(v[0]); err != nil {
				return err
			}
			drafts[0].Event = strings.Clone(v[0])
		}
		for _, name := range query["channel"] {
			if err := s.publishable(name); err != nil {
				return err
			}
		}
	case query.Has("event"):
		return fmt.Errorf("%w: event without channel; a JSON body has both in it", errQuery)
	default:
		drafts, keys, batch, err = parsePublish(body, s.publishable)
		if err != nil && isPlain(body) {
			return fmt.Errorf("%w: no channel in the URL, and the body is not JSON; want /publish?channel=NAME or {\"channel\":…,\"data\":…}", strictjson.Error)
		}
		if err != nil {
			return err
		}
	}
	for i := range drafts {
		drafts[i].Track = wait
	}
	receipts, again, err := s.publishOnce(c, drafts, keys)
	if err != nil {
		return err
	}
	if err := s.saved(receipts); err != nil { // also if the first answer was this error
		return err
	}
	if again {
		c.ctx.Response.Header.Set(replayedHeader, "true")
	}
	results := make([]receipt, len(receipts))
	ctx := context.Background()
	if wait { // else there is nothing to wait for, nor to make a timer of
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deliveryTimeout)
		defer cancel()
	}
	for i, r := range receipts {
		results[i] = receipt{ID: r.ID.String(), Subscribers: r.Subscribers, deliveryCounts: awaitDelivery(ctx, r)}
	}
	if batch {
		s.answerJSON(c.ctx, struct {
			Messages []receipt `json:"messages"`
		}{results})
	} else {
		s.answerJSON(c.ctx, results[0])
	}
	return nil
}

// saved waits until what has to outlive the process is on disk.
func (s *Server) saved(receipts []hub.Receipt) error {
	if !slices.ContainsFunc(receipts, func(r hub.Receipt) bool { return r.Kept }) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return s.options.Hub.Saved(ctx, receipts)
}

// publishOnce publishes what was not published with the same key before; again says that some was.
func (s *Server) publishOnce(c *call, drafts []hub.Draft, keys []string) (receipts []hub.Receipt, again bool, err error) {
	publish := s.options.Hub.Publish
	values := c.ctx.Request.Header.PeekAll(keyHeader)
	switch {
	case len(values) > 0 && keys != nil:
		return nil, false, fmt.Errorf("%w: in %s and as idempotency_key of a message; want one of them", errKey, keyHeader)
	case len(values) > 0:
		key, err := parseKey(values)
		if err != nil {
			return nil, false, err
		}
		return s.idempotency.request(keyedRequest{key, sumOf([]byte(c.query), c.ctx.Request.Body())}, drafts, publish)
	case keys != nil:
		keyed := make([]keyedRequest, len(drafts))
		for i, key := range keys {
			if key != "" {
				keyed[i] = keyedMessage(key, &drafts[i])
			}
		}
		return s.idempotency.messages(keyed, drafts, publish)
	}
	receipts, err = publish(drafts)
	return receipts, false, err
}

// isPlain reports whether a body does not even begin like JSON of a publish.
func isPlain(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n")
	return len(text) > 0 && text[0] != '{' && text[0] != '['
}

// publishable reports whether a message may go to the channel.
func (s *Server) publishable(name string) error {
	if err := validChannel(name); err != nil {
		return err
	}
	if _, ok := s.options.Channels.Rule(name); !ok {
		return fmt.Errorf("%w: %q; add one that matches to channels", errRule, name)
	}
	return nil
}

// validEvent keeps event names to what every kind of client can be told: no line ends, no NUL. A plain event stream has
// only the name to tell a message from Holdfast's gap, and a browser fires events named open and error by itself.
func validEvent(name string) error {
	switch name {
	case "gap", "open", "error":
		return fmt.Errorf("%w %q: the name is reserved for event streams; choose another", errEvent, name)
	}
	if len(name) < 1 || len(name) > maxEvent {
		return fmt.Errorf("%w: a name has 1 to %d characters, not %d", errEvent, maxEvent, len(name))
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("_.:-", c) >= 0:
		default:
			return fmt.Errorf("%w %q: want letters, digits and _.:-", errEvent, name)
		}
	}
	return nil
}

// parsePublish reads the JSON forms of a publish: one object, an array of them, or one a line. Keys are their idempotency
// keys, nil if there is none. Batch says that the answer is to be a list. The drafts keep nothing of body.
func parsePublish(body []byte, channel func(string) error) (drafts []hub.Draft, keys []string, batch bool, err error) {
	values, array, err := strictjson.Split(body)
	if err != nil {
		return nil, nil, false, err
	}
	if len(values) == 0 && !array {
		return nil, nil, false, fmt.Errorf("%w: the body is empty; data goes with ?channel=", strictjson.Error)
	}
	drafts = make([]hub.Draft, 0, len(values))
	seen := map[string]bool{}
	for i, v := range values {
		d, key, err := parseDraft(v, channel)
		if err != nil {
			return nil, nil, false, err
		}
		drafts = append(drafts, d)
		if key == "" {
			continue
		}
		if seen[key] {
			return nil, nil, false, v.At(fmt.Errorf("%w: %q is on an earlier message of this batch", errKey, key))
		}
		if seen[key] = true; keys == nil {
			keys = make([]string, len(values))
		}
		keys[i] = key
	}
	return drafts, keys, array || len(drafts) > 1, nil
}

// draft reads one message.
func parseDraft(v strictjson.Value, channel func(string) error) (d hub.Draft, idempotency string, err error) {
	hasData := false
	err = v.Members(func(key string, m strictjson.Value) error {
		switch key {
		case "channel":
			if d.Channels, err = m.StringOrStrings(); err != nil {
				return m.At(fmt.Errorf("%w: want a name or a list of names", errChannel))
			}
			for _, name := range d.Channels {
				if err := channel(name); err != nil {
					return m.At(err)
				}
			}
		case "event":
			if d.Event, err = m.Text(); err != nil {
				return m.At(fmt.Errorf("%w: want text", errEvent))
			}
			if err := validEvent(d.Event); err != nil {
				return m.At(err)
			}
		case "data":
			hasData = true
			if m.IsString() {
				text, err := m.Text()
				if err != nil {
					return err
				}
				d.Data = []byte(text)
				return nil
			}
			var b bytes.Buffer
			if err := json.Compact(&b, m.Raw()); err != nil {
				return m.At(fmt.Errorf("%w: %w", strictjson.Error, err))
			}
			d.Data, d.JSON = b.Bytes(), true
		case "idempotency_key":
			if idempotency, err = m.Text(); err != nil {
				return m.At(fmt.Errorf("%w: want text", errKey))
			}
			if err := validKey(idempotency); err != nil {
				return m.At(err)
			}
		default:
			return m.At(fmt.Errorf("%w: unknown key %s; want channel, data, event or idempotency_key", strictjson.Error, strconv.Quote(clip(key))))
		}
		return nil
	})
	switch {
	case err != nil:
		return d, "", err
	case len(d.Channels) == 0:
		return d, "", v.At(fmt.Errorf("%w: the message names none", errChannel))
	case !hasData:
		return d, "", v.At(fmt.Errorf("%w: the message has no data", strictjson.Error))
	}
	return d, idempotency, nil
}
