package hooks

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/strictjson"
)

// maxEvent is the longest name of an event, in bytes.
const maxEvent = 64

// maxChannels is how many channels one message may have: it is accepted in one go, and meanwhile no client gets anything.
const maxChannels = 1000

// tooMany returns an error if a message has more channels than that.
func tooMany(channels []string) error {
	if n := len(channels); n > maxChannels {
		return fmt.Errorf("%w: %d for one message; want at most %d, and a list of messages for more", errChannel, n, maxChannels)
	}
	return nil
}

// deliveryTimeout limits a publish with wait=delivered. Delivery waits for no client, so it takes much less unless the
// process is short of everything.
const deliveryTimeout = 10 * time.Second

// storeTimeout limits how long a publish waits for the disk, with push.history_file.
const storeTimeout = 10 * time.Second

// receipt is the result of a message.
type receipt struct {
	ID              string `json:"id"`
	Subscribers     int    `json:"subscribers"`
	*deliveryCounts        // with wait=delivered
}

// deliveryCounts counts the subscribers of a message by what has become of it.
type deliveryCounts struct {
	Delivered int `json:"delivered"` // their sockets accepted it
	Waiting   int `json:"waiting"`   // it is queued for a slow client
	Dropped   int `json:"dropped"`   // their connections closed, or their rule dropped it
}

// awaitDelivery waits until every subscriber's connection was handed the message, and returns the counts; nil without a
// Track.
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

// publishQuery is the query of a publish.
type publishQuery struct {
	channels, events, waits []string
}

// publishRoom is memory that a connection reuses for each publish.
type publishRoom struct {
	channels [4]string
	events   [1]string
	event    string
	draft    [1]hub.Draft
	receipt  [1]hub.Receipt
}

// publishQuery parses the query. The usual ones are parsed without garbage; parseQuery handles the others, and errors.
func (c *call) publishQuery() (q publishQuery, err error) {
	q.channels, q.events = c.publish.channels[:0], c.publish.events[:0]
	for rest := c.query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, text, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(text)
		switch {
		case pair == "":
		case err != nil || strings.IndexByte(pair, ';') >= 0:
			return c.oddQuery()
		case name == "channel":
			q.channels = append(q.channels, value)
		case name == "event":
			q.events = append(q.events, value)
		case name == "wait":
			q.waits = append(q.waits, value)
		default:
			return c.oddQuery()
		}
	}
	return q, nil
}

func (c *call) oddQuery() (q publishQuery, err error) {
	query, err := parseQuery(c.query, "channel", "event", "wait")
	return publishQuery{query["channel"], query["event"], query["wait"]}, err
}

// publish responds to POST /publish.
func (s *Server) publish(c *call) error {
	if e := c.ctx.Request.Header.ContentEncoding(); len(e) > 0 && !strings.EqualFold(string(e), "identity") {
		return fmt.Errorf("%w: %.100q; send the body as it is", errEncoding, e)
	}
	q, err := c.publishQuery()
	if err != nil {
		return err
	}
	wait := len(q.waits) > 0
	if wait && (len(q.waits) > 1 || q.waits[0] != "delivered") {
		return fmt.Errorf("%w: wait=%.100q; the only value is delivered", errQuery, q.waits[0])
	}
	defer func() { c.publish.draft[0], c.publish.receipt[0] = hub.Draft{}, hub.Receipt{} }()
	drafts, keys, batch, err := c.drafts(&q, s.publishable)
	if err != nil {
		return err
	}
	for i := range drafts {
		drafts[i].Track = wait
	}
	receipts, again, err := s.publishOnce(c, drafts, keys)
	if err != nil {
		return err
	}
	if err := s.saved(receipts); err != nil { // also if the first response was this error
		return err
	}
	if again {
		c.ctx.Response.Header.Set(replayedHeader, "true")
	}
	if !batch && !wait {
		c.answerReceipt(receipts[0])
		return nil
	}
	results := make([]receipt, len(receipts))
	ctx := context.Background()
	if wait { // otherwise there is nothing to wait for, and no timer is needed
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

// answerReceipt writes what answerJSON would write for a receipt without counts.
func (c *call) answerReceipt(r hub.Receipt) {
	var room [64]byte
	b := r.ID.Append(append(room[:0], `{"id":"`...))
	b = strconv.AppendInt(append(b, `","subscribers":`...), int64(r.Subscribers), 10)
	c.ctx.SetContentType("application/json")
	c.ctx.Response.AppendBody(append(b, "}\n"...))
}

// drafts returns the messages of a request; keys and batch are as in parsePublish.
func (c *call) drafts(q *publishQuery, publishable func(string) error) (drafts []hub.Draft, keys []string, batch bool, err error) {
	body := c.ctx.Request.Body()
	switch {
	case len(q.channels) > 0:
		d := hub.Draft{Channels: q.channels, Data: bytes.Clone(body)}
		if len(q.events) > 1 {
			return nil, nil, false, fmt.Errorf("%w: given %d times", errEvent, len(q.events))
		} else if len(q.events) == 1 {
			if err := validEvent(q.events[0]); err != nil {
				return nil, nil, false, err
			}
			if c.publish.event != q.events[0] {
				c.publish.event = strings.Clone(q.events[0]) // history must not keep the whole target in memory
			}
			d.Event = c.publish.event
		}
		if err := tooMany(q.channels); err != nil {
			return nil, nil, false, err
		}
		for _, name := range q.channels {
			if err := publishable(name); err != nil {
				return nil, nil, false, err
			}
		}
		c.publish.draft[0] = d
		return c.publish.draft[:], nil, false, nil
	case len(q.events) > 0:
		return nil, nil, false, fmt.Errorf("%w: event without channel; a JSON body has both in it", errQuery)
	}
	drafts, keys, batch, err = c.publish.parsePublish(body, publishable)
	if err != nil && isPlain(body) {
		return nil, nil, false, fmt.Errorf("%w: no channel in the URL, and the body is not JSON; want /publish?channel=NAME or {\"channel\":…,\"data\":…}", strictjson.Error)
	}
	return drafts, keys, batch, err
}

// saved waits until the messages that must be stored are on disk.
func (s *Server) saved(receipts []hub.Receipt) error {
	if !slices.ContainsFunc(receipts, func(r hub.Receipt) bool { return r.Kept }) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return s.options.Hub.Saved(ctx, receipts)
}

// publishOnce publishes the drafts whose keys were not used before; again means that some were.
func (s *Server) publishOnce(c *call, drafts []hub.Draft, keys []string) (receipts []hub.Receipt, again bool, err error) {
	to := publisher{s.options.Hub, s.options.OnChanged}
	values := c.ctx.Request.Header.PeekAll(keyHeader)
	switch {
	case len(values) > 0 && keys != nil:
		return nil, false, fmt.Errorf("%w: in %s and as idempotency_key of a message; want one of them", errKey, keyHeader)
	case len(values) > 0:
		key, err := parseKey(values)
		if err != nil {
			return nil, false, err
		}
		return s.idempotency.request(keyedRequest{key, sumOf([]byte(c.query), c.ctx.Request.Body())}, drafts, to.Publish)
	case keys != nil:
		keyed := make([]keyedRequest, len(drafts))
		for i, key := range keys {
			if key != "" {
				keyed[i] = keyedMessage(key, &drafts[i])
			}
		}
		return s.idempotency.messages(keyed, drafts, to.Publish)
	}
	if len(drafts) == 1 {
		c.publish.receipt[0], err = to.PublishOne(drafts[0])
		return c.publish.receipt[:], false, err
	}
	receipts, err = to.Publish(drafts)
	return receipts, false, err
}

// isPlain reports whether a body does not begin like the JSON of a publish.
func isPlain(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n")
	return len(text) > 0 && text[0] != '{' && text[0] != '['
}

// publishable reports whether a message may go to the channel.
func (s *Server) publishable(name string) error { return publishable(s.access.Load().rules, name) }

func publishable(rules *channel.Rules, name string) error {
	if err := validChannel(name); err != nil {
		return err
	}
	if _, ok := rules.Rule(name); !ok {
		return fmt.Errorf("%w: %q; add one that matches to channels", errRule, name)
	}
	return nil
}

// validEvent allows event names that every transport can carry: no line ends, no NUL. A plain event stream has only the
// name to tell a message from Holdfast's gap, and a browser fires events named open and error by itself.
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

// parsePublish reads the JSON forms of a publish: one object, an array of them, or one a line. Keys are their
// idempotency keys, nil if there is none. batch means that the response is a list. The drafts share no memory with
// body. A single one is in r.
func (r *publishRoom) parsePublish(body []byte, channel func(string) error) (drafts []hub.Draft, keys []string, batch bool, err error) {
	var room [1]strictjson.Value
	values, array, err := strictjson.Split(body, room[:0])
	if err != nil {
		return nil, nil, false, err
	}
	if len(values) == 0 && !array {
		return nil, nil, false, fmt.Errorf("%w: the body is empty; data goes with ?channel=", strictjson.Error)
	}
	names := r.channels[:0] // for the only message: a batch has more of them
	if drafts = r.draft[:0]; len(values) > 1 {
		drafts, names = make([]hub.Draft, 0, len(values)), nil
	}
	var seen map[string]bool
	for i, v := range values {
		d, key, err := parseDraft(v, channel, names)
		if err != nil {
			return nil, nil, false, err
		}
		drafts = append(drafts, d)
		if key == "" {
			continue
		}
		if seen == nil {
			seen = make(map[string]bool)
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

// parseDraft reads one message; names is an empty list for its channels.
func parseDraft(v strictjson.Value, channel func(string) error, names []string) (d hub.Draft, idempotency string, err error) {
	d.Channels = names
	hasData := false
	member := v.Read()
	for member.Next() {
		m := member.Value
		switch member.Key {
		case "channel":
			if d.Channels, err = m.AppendStrings(d.Channels); err != nil {
				return d, "", m.At(fmt.Errorf("%w: want a name or a list of names", errChannel))
			}
			if err := tooMany(d.Channels); err != nil {
				return d, "", m.At(err)
			}
			for _, name := range d.Channels {
				if err := channel(name); err != nil {
					return d, "", m.At(err)
				}
			}
		case "event":
			if d.Event, err = m.Text(); err != nil {
				return d, "", m.At(fmt.Errorf("%w: want text", errEvent))
			}
			if err := validEvent(d.Event); err != nil {
				return d, "", m.At(err)
			}
		case "data":
			hasData = true
			if d.JSON = !m.IsString(); d.JSON {
				d.Data = m.Compact()
			} else if d.Data, err = m.Bytes(); err != nil {
				return d, "", m.At(err)
			}
		case "idempotency_key":
			if idempotency, err = m.Text(); err != nil {
				return d, "", m.At(fmt.Errorf("%w: want text", errKey))
			}
			if err := validKey(idempotency); err != nil {
				return d, "", m.At(err)
			}
		default:
			return d, "", m.At(fmt.Errorf("%w: unknown key %s; want channel, data, event or idempotency_key",
				strictjson.Error, strconv.Quote(clip(member.Key))))
		}
	}
	switch {
	case member.Err() != nil:
		return d, "", member.Err()
	case len(d.Channels) == 0:
		return d, "", v.At(fmt.Errorf("%w: the message names none", errChannel))
	case !hasData:
		notification(&d)
	}
	return d, idempotency, nil
}
