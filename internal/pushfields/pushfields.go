// Package pushfields reads the fields of the app's responses by which it publishes:
//
//	Push-Channel: parcel.42, parcels    the channels
//	Push-Data: It%20has%20arrived.      the message, URL-encoded
//	Push-Body: 1                        or: the response's body is the message
//	Push-Event: state                   its event
//
// Without Push-Data and Push-Body, the response to a request of an unsafe method says that the channels have changed, and one
// to a safe method says that it shows the state of the channels: that is for the client and the cache, and publishes nothing.
package pushfields

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/throttle"
)

// maxChannels is how many channels one response may name.
const maxChannels = 64

// Publisher publishes with the checks of the API. Event loops call it, so it must not block.
type Publisher interface {
	Publish(d hub.Draft) (hub.Receipt, error)
	Changed(channels []string, event string) (dropped int, r hub.Receipt, err error)
}

// Options are the properties of a Reader.
type Options struct {
	Publisher  Publisher
	MaxMessage int   // bytes of a message
	MaxTotal   int64 // bytes of all bodies together that are messages and have not come whole
	Log        *slog.Logger
}

// Reader is what all responses share. Any goroutine may call its methods. A nil Reader reads nothing.
type Reader struct {
	o         Options
	buffered  atomic.Int64
	published atomic.Int64
	unseen    atomic.Int64
	failed    map[string]*throttle.Throttle // by reason; not changed
}

// The reasons of failures, which are the labels of their metric.
const (
	badRoute      = "route"        // the route's app may not publish
	badStatus     = "status"       // the response is an error, or a part
	badFields     = "headers"      // the fields contradict each other, or can't be read
	badMessage    = "refused"      // the API would answer 400
	tooLarge      = "too_large"    // for push.max_message
	noMemory      = "memory"       // push.receive_total is used up
	noBody        = "no_body"      // the response to Push-Body has none
	encodedBody   = "encoding"     // it is compressed
	cutBody       = "incomplete"   // it did not come whole
	notAccepted   = "undelivered"  // too much is undelivered
	notAcceptable = "not_storable" // the history file can't be written
)

var (
	errRoute    = errors.New("the route's app may not publish: set push_headers of the route")
	errStatus   = errors.New("the response is an error or a part of one; it publishes only with 2xx, but not 206, and 3xx")
	errBoth     = errors.New("Push-Data and Push-Body; want one of them")
	errChannel  = errors.New("no Push-Channel; want one, such as parcel.42")
	errChannels = fmt.Errorf("more than %d channels", maxChannels)
	errRepeated = errors.New("a field is there twice; want one message in one response")
	errBodyFlag = errors.New("Push-Body is not 1")
	errNoBody   = errors.New("Push-Body, and the response has no body: HEAD, 204, 205, 304 or X-Accel-Redirect")
	errEncoded  = errors.New("Push-Body, and the body is compressed: send it without Content-Encoding")
	errCut      = errors.New("Push-Body, and the body did not come whole")
	errMemory   = errors.New("Push-Body, and push.receive_total is used up")
)

// New returns a reader.
func New(o Options) *Reader {
	r := &Reader{o: o, failed: map[string]*throttle.Throttle{}}
	for _, reason := range []string{badRoute, badStatus, badFields, badMessage, tooLarge, noMemory, noBody, encodedBody, cutBody, notAccepted, notAcceptable} {
		r.failed[reason] = new(throttle.Throttle)
	}
	return r
}

// Stats are counts for metrics.
type Stats struct {
	Published int64            // messages
	Failed    map[string]int64 // responses whose message was not published, by reason
	Unseen    int64            // requests that may have changed something and ended without a response of the app
	Buffered  int64            // bytes of bodies that have not come whole
}

// Stats returns what the reader has done.
func (r *Reader) Stats() Stats {
	s := Stats{Published: r.published.Load(), Failed: map[string]int64{}, Unseen: r.unseen.Load(), Buffered: r.buffered.Load()}
	for reason, n := range r.failed {
		s.Failed[reason] = n.Total()
	}
	return s
}

// Response is the response to one request. One goroutine uses it. A nil Response has no fields that count.
type Response struct {
	r       *Reader
	allowed bool // the app may publish
	safe    bool // the request's method
	isHead  bool
	path    string // of the request, for the log

	seen     bool // the final response has come
	reading  bool // the body is the message
	draft    hub.Draft
	reserved int64 // of Reader.buffered
}

// Request returns the response to a request that goes to an app; allowed says that this app may publish.
func (r *Reader) Request(h *http1.Head, allowed bool) *Response {
	if r == nil {
		return nil
	}
	return &Response{r: r, allowed: allowed, safe: !cache.IsUnsafe(h.Method), isHead: string(h.Method) == "HEAD", path: string(h.Path)}
}

// fields are those of a response.
type fields struct {
	channels   [][]byte
	data, body []byte
	event      []byte
	dataCount  int
	bodyCount  int
	eventCount int
}

// take collects the fields and drops them from the response, Push-Channel only if drops says so of them.
func take(a *http1.Answer, drops func(*fields) bool) (f fields) {
	var channels [4]*http1.Field
	list := channels[:0]
	for i := range a.Fields {
		field := &a.Fields[i]
		if _, is := http1.CutPrefixFold(field.Name, "push-"); !is || field.Drop {
			continue
		}
		switch {
		case http1.EqualFold(field.Name, "push-channel"):
			list = append(list, field)
			f.channels = append(f.channels, field.Value)
			continue
		case http1.EqualFold(field.Name, "push-data"):
			f.data = field.Value
			f.dataCount++
		case http1.EqualFold(field.Name, "push-body"):
			f.body = field.Value
			f.bodyCount++
		case http1.EqualFold(field.Name, "push-event"):
			f.event = field.Value
			f.eventCount++
		default:
			continue
		}
		field.Drop = true
	}
	if drops(&f) {
		for _, field := range list {
			field.Drop = true
		}
	}
	return f
}

func (f *fields) isEmpty() bool {
	return len(f.channels)+f.dataCount+f.bodyCount+f.eventCount == 0
}

// isStatement reports whether the fields of a response to a safe method publish nothing.
func (f *fields) isStatement() bool { return f.dataCount+f.bodyCount == 0 }

// Awaited reports whether the head has not come that may say what has changed, so that it is of use also without a client.
func (x *Response) Awaited() bool { return x != nil && !x.seen && !x.safe && x.allowed }

// Outlives reports whether the rest of the response is of use also without its client: as Awaited, or its body is a message that
// has not come whole.
func (x *Response) Outlives() bool { return x.Awaited() || x != nil && x.reading }

// Interim drops the fields of a response that is not the final one.
func (x *Response) Interim(a *http1.Answer) {
	if x != nil {
		take(a, func(*fields) bool { return true })
	}
}

// Head takes the head of the final response, before the client has any of it: it drops the fields that are not for the client
// and publishes, unless the body has to come first.
func (x *Response) Head(a *http1.Answer) {
	if x == nil {
		return
	}
	x.seen = true
	f := take(a, func(f *fields) bool { return !x.allowed || !x.safe || !f.isStatement() })
	switch {
	case f.isEmpty(), x.allowed && x.safe && f.isStatement() && f.eventCount == 0:
		return
	case !x.allowed:
		x.fail(badRoute, errRoute)
		return
	}
	reason, err := x.draftOf(&f)
	if err != nil {
		x.fail(reason, err)
		return
	}
	switch {
	case a.Status < 200 || a.Status >= 400 || a.Status == 206:
		x.fail(badStatus, fmt.Errorf("status %d: %w", a.Status, errStatus))
	case f.bodyCount > 0:
		x.beginBody(a)
	case f.dataCount > 0:
		_, err := x.r.o.Publisher.Publish(x.draft)
		x.published(err)
	default:
		_, _, err := x.r.o.Publisher.Changed(x.draft.Channels, x.draft.Event)
		x.published(err)
	}
}

// draftOf makes the draft of a response's fields.
func (x *Response) draftOf(f *fields) (reason string, err error) {
	x.draft = hub.Draft{}
	switch {
	case f.dataCount > 1 || f.bodyCount > 1 || f.eventCount > 1:
		return badFields, errRepeated
	case f.dataCount > 0 && f.bodyCount > 0:
		return badFields, errBoth
	case f.bodyCount > 0 && string(f.body) != "1":
		return badFields, fmt.Errorf("%w: %.40q", errBodyFlag, f.body)
	}
	for _, list := range f.channels {
		x.draft.Channels = headers.AppendChannels(x.draft.Channels, list)
	}
	switch n := len(x.draft.Channels); {
	case n == 0:
		return badFields, errChannel
	case n > maxChannels:
		return badFields, errChannels
	}
	if f.eventCount > 0 {
		x.draft.Event = string(f.event)
		if x.draft.Event == "" {
			return badFields, errors.New("Push-Event is empty")
		}
	}
	if f.dataCount > 0 {
		if x.draft.Data, err = decode(f.data); err != nil {
			return badFields, err
		}
		if n := len(x.draft.Data); n > x.r.o.MaxMessage {
			return tooLarge, x.tooLarge("Push-Data", n)
		}
	}
	return "", nil
}

func (x *Response) tooLarge(field string, n int) error {
	return fmt.Errorf("%s: %d bytes are more than the %d of push.max_message", field, n, x.r.o.MaxMessage)
}

// published counts a message, or why it is none.
func (x *Response) published(err error) {
	switch {
	case err == nil:
		x.r.published.Add(1)
	case errors.Is(err, hub.ErrBusy):
		x.fail(notAccepted, err)
	case errors.Is(err, hub.ErrStore):
		x.fail(notAcceptable, err)
	default:
		x.fail(badMessage, err)
	}
	x.draft = hub.Draft{}
}

// fail logs and counts a response whose message is not published.
func (x *Response) fail(reason string, err error) {
	if total, due := x.r.failed[reason].Due(time.Now()); due {
		channels := strings.Join(x.draft.Channels, ",")
		x.r.o.Log.Warn("message of a response not published", "reason", reason, "error", err,
			"path", x.path[:min(len(x.path), 200)], "channel", channels[:min(len(channels), 200)], "total", total)
	}
	x.stop()
}

// stop ends the reading of the body.
func (x *Response) stop() {
	x.r.buffered.Add(-x.reserved)
	x.reading, x.reserved, x.draft = false, 0, hub.Draft{}
}
