package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"hash/maphash"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
)

// Entry is a stored response. What it says is never changed, and it may be used as long as somebody has it, also after it
// was dropped.
type Entry struct {
	status int
	line   []byte // what follows the version in the status line
	fields []byte // lines, each with its CRLF, without Age and what is about a connection
	short  int    // the length of those of fields that a 304 has too, which come first
	body   []byte

	etag     []byte // empty: none; the app's, or ours
	ownETag  bool   // it is ours, so the app is never told it
	modified []byte // Last-Modified as it came; empty: none

	born                       time.Time // when its age was 0
	fresh                      time.Duration
	updating, fail, revalidate time.Duration // after fresh

	mayKeep  bool // as its verdict says
	mayShare bool // the same

	vary    []string
	variant Key // by vary
	place   *Place
	tags    []Tag // all of them, of the place and the groups

	sum       atomic.Uint64 // see Sum; 0: not made yet
	encodings *encodings
	item      *item // in the store, whose mutex guards it; nil: it is not there
}

// NewEntry returns a response that a verdict says is kept, or may be shared. line is what follows the version in the status line, as in
// http1.Answer, fields are those that the client is sent, and body, which is handed over, is all of the body. now is when the
// head of the response came.
func NewEntry(v *Verdict, r Response, line, body []byte, now time.Time) *Entry {
	if cap(body)-len(body) > len(body)/8+64 {
		body = bytes.Clone(body) // without what it may grow by
	}
	e := &Entry{
		encodings: new(encodings), status: r.Status, line: bytes.Clone(line), body: body, born: now.Add(-v.Age), fresh: v.Fresh,
		updating: v.Updating, fail: v.Fail, revalidate: v.Revalidate, vary: v.vary, variant: v.variant, place: v.place,
		mayKeep: v.Reason == None, mayShare: v.MayShare(),
	}
	kept := make([]http1.Field, 0, len(r.Fields)+2)
	for _, f := range r.Fields {
		if !f.Drop && !isLeftOut(f.Name) && !v.hides(f.Name) {
			kept = append(kept, f)
		}
	}
	if !headers.Has(kept, "date") {
		kept = append(kept, http1.Field{Name: []byte("Date"), Value: now.UTC().AppendFormat(nil, http.TimeFormat)})
	}
	etag, _ := headers.Value(kept, "etag")
	modified, _ := headers.Value(kept, "last-modified")
	if v.policy.ETag && len(etag)+len(modified) == 0 && r.Status == 200 {
		etag, e.ownETag = bodyTag(body), true
		kept = append(kept, http1.Field{Name: []byte("ETag"), Value: etag})
	}
	for i := range kept {
		if inNotModified(kept[i].Name, len(etag) > 0) {
			e.fields = http1.AppendField(e.fields, kept[i].Name, kept[i].Value)
		}
	}
	e.short = len(e.fields)
	for i := range kept {
		if !inNotModified(kept[i].Name, len(etag) > 0) {
			e.fields = http1.AppendField(e.fields, kept[i].Name, kept[i].Value)
		}
	}
	if r.Status != 204 {
		e.fields = strconv.AppendInt(append(e.fields, "Content-Length: "...), int64(len(body)), 10)
		e.fields = append(e.fields, "\r\n"...)
	}
	e.fields = bytes.Clone(e.fields) // without what it has grown by
	e.etag, e.modified = bytes.Clone(etag), bytes.Clone(modified)
	e.tags = v.place.tagsWith(v.groups, v.channels)
	return e
}

// leftOut are fields that are not stored: they are made for each client, or are about the connection.
var leftOut = http1.NewNameSet(
	"age", "trailer", "upgrade", "connection", "keep-alive", "set-cookie", "set-cookie2", "content-length", "proxy-connection",
	"transfer-encoding", "proxy-authenticate", "proxy-authentication-info",
)

// isLeftOut reports whether a field is not stored: it is in leftOut, or for the proxy.
func isLeftOut(name []byte) bool {
	_, accel := http1.CutPrefixFold(name, "x-accel-")
	return accel || leftOut.Has(name)
}

// hides reports whether the app says that a field is not to be used again.
func (v *Verdict) hides(name []byte) bool {
	for _, hidden := range v.hidden {
		if http1.EqualFold(name, string(hidden)) {
			return true
		}
	}
	return false
}

// inNotModified reports whether a 304 has a field (RFC 9110 §15.4.5).
func inNotModified(name []byte, tagged bool) bool {
	switch len(name) {
	case 4:
		return http1.EqualFold(name, "date") || http1.EqualFold(name, "etag") || http1.EqualFold(name, "vary")
	case 7:
		return http1.EqualFold(name, "expires")
	case 13:
		return http1.EqualFold(name, "cache-control") || !tagged && http1.EqualFold(name, "last-modified")
	case 16:
		return http1.EqualFold(name, "content-location")
	}
	return false
}

// bodyTag returns an ETag made from a body.
func bodyTag(body []byte) []byte {
	all := sha256.Sum256(body)
	b := append(make([]byte, 0, 24), '"')
	return append(base64.RawURLEncoding.AppendEncode(b, all[:15]), '"')
}

// Status returns the status code.
func (e *Entry) Status() int { return e.status }

// Body returns the body, which is not to be changed.
func (e *Entry) Body() []byte { return e.body }

// Sum returns a hash of what a client sees: responses of the same status and body have the same, within this process.
func (e *Entry) Sum() uint64 {
	if sum := e.sum.Load(); sum != 0 {
		return sum
	}
	var h maphash.Hash
	h.SetSeed(e.place.hasher.seed)
	_, _ = h.Write([]byte{byte(e.status), byte(e.status >> 8)})
	_, _ = h.Write(e.body)
	sum := max(h.Sum64(), 1)
	e.sum.Store(sum)
	return sum
}

// Place returns what the response is about.
func (e *Entry) Place() *Place { return e.place }

// AppendHead adds the head, from the status line on, but for Age, Cache-Status, what is about the connection, and the empty
// line.
func (e *Entry) AppendHead(b []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, e.line...)
	b = append(b, "\r\n"...)
	return append(b, e.fields...)
}

// AppendNotModified adds the head of a 304 in the same way.
func (e *Entry) AppendNotModified(b []byte) []byte {
	return append(append(b, "HTTP/1.1 304 Not Modified\r\n"...), e.fields[:e.short]...)
}

// AppendAge adds the line of Age.
func (e *Entry) AppendAge(b []byte, now time.Time) []byte {
	b = append(b, "Age: "...)
	b = strconv.AppendInt(b, min(int64(e.Age(now)/time.Second), headers.MaxSeconds), 10)
	return append(b, "\r\n"...)
}

// clockSlack is how far times of different loops may be apart.
const clockSlack = 10 * time.Second

// Age returns how old the response is (RFC 9111 §4.2.3). Times are read with their monotonic clock, if they have it. Without
// it the clock may have been set back to before the response came; then it counts as older than anything.
func (e *Entry) Age(now time.Time) time.Duration {
	age := now.Sub(e.born)
	switch {
	case age >= 0:
		return age
	case age > -clockSlack:
		return 0
	}
	return math.MaxInt64
}

// TTL returns how long the response is fresh yet; negative: how long it has been stale.
func (e *Entry) TTL(now time.Time) time.Duration { return e.fresh - e.Age(now) }

// IsFresh reports whether it may be given out without a question.
func (e *Entry) IsFresh(now time.Time) bool { return e.Age(now) < e.fresh }

// MayUpdate reports whether it may be given out while it is fetched anew.
func (e *Entry) MayUpdate(now time.Time) bool { return e.Age(now) < e.fresh+e.updating }

// MayFail reports whether it may be given out because fetching it anew has failed.
func (e *Entry) MayFail(now time.Time) bool { return e.Age(now) < e.fresh+e.fail }

// isUseful reports whether it may still be given out in some case, or validated.
func (e *Entry) isUseful(now time.Time) bool {
	return e.Age(now) < e.fresh+max(e.updating, e.fail, e.revalidate)
}

// What an entry costs besides its bytes: itself, what the store keeps about it, and its share of the maps; each of its tags;
// and what tells it from others if it varies. TestBytes compares them with the heap.
const (
	entryCost = 704
	tagCost   = 120
	varyCost  = 256
)

// size returns what it counts as.
func (e *Entry) size() int64 {
	n := len(e.line) + len(e.fields) + cap(e.body) + len(e.etag) + len(e.modified) + len(e.tags)*tagCost
	if len(e.vary) > 0 {
		n += varyCost
	}
	for _, name := range e.vary {
		n += len(name) + 16
	}
	return int64(n) + e.place.size() + entryCost + e.encodings.size()
}
