package cache

import (
	"bytes"
	"net/http"
	"time"

	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
)

// Policy is what a rule says of the responses that are kept.
type Policy struct {
	// Fresh is how long a response of one of Statuses is fresh if the app says nothing. 0: then it is not kept.
	Fresh    time.Duration
	Statuses []int // none: 200, 204 and 404. A response of another status is kept only if the app says for how long

	// IgnoreApp is whether Fresh counts instead of Cache-Control, Expires, X-Accel-Expires and CDN-Cache-Control, also where
	// these forbid to keep the response. PHP sends no-store with every page of a session.
	IgnoreApp bool

	// OwnSession is whether the key has the session and the login of the request. Then private, and requests with a login,
	// are no reason not to keep the response, if the request has a session: it gets to nobody else. Those without one share
	// an answer.
	OwnSession bool

	// Shared is whether IgnoreApp holds for the response to a request with a login too: the rule says that it is everybody's.
	Shared bool

	// WithoutCookies is whether a response that sets cookies is kept, without them.
	WithoutCookies bool

	// Heuristic is how much of the time since Last-Modified a response is fresh if neither the app nor Fresh says, at most
	// HeuristicMost. 0: none. RFC 9111 §4.2.2 suggests a tenth.
	Heuristic     float64
	HeuristicMost time.Duration

	// Updating and Fail are how long a response may be given out stale while it is fetched anew, and if that fails, where the
	// app does not say. It never may be against must-revalidate, proxy-revalidate, s-maxage and no-cache.
	Updating, Fail time.Duration

	// Revalidate is how long one with ETag or Last-Modified is kept stale, to ask the app whether it has changed.
	Revalidate time.Duration

	// ETag is whether a 200 without ETag and Last-Modified is given an ETag, from a hash of its body.
	ETag bool

	// Most bounds how long a response is fresh, whoever says so. 0: not.
	Most time.Duration
}

// longest is how long anything is good at most, so that no sum of times overflows.
const longest = headers.MaxSeconds * time.Second

// Verdict is what Judge says of a response.
type Verdict struct {
	Reason Reason // why it is not kept; None: it is

	Age   time.Duration // that it had when it came
	Fresh time.Duration // for how long it is, counted from an age of 0. 0: it has to be validated each time

	Updating, Fail, Revalidate time.Duration // how long after Fresh it may be used in these ways

	policy   *Policy
	place    *Place
	hidden   [][]byte // names of fields that are not kept
	vary     []string
	variant  Key // of the request, by vary
	groups   []string
	channels []string // of Push-Channel
	shared   bool     // an error that is good for all
}

// How long Pass has requests of a key pass: Varnish's two minutes, and after an error of the app only until the next try.
const (
	passTime      = 2 * time.Minute
	passTimeError = time.Second
)

// Pass returns for how long requests of the same key are not to wait for each other, as the next response is likely not to
// be kept either: for Store.Abandon. One that can be kept ends that at once.
func (v *Verdict) Pass() time.Duration {
	switch v.Reason {
	case None, Incomplete, OtherThan, Changed, Superseded, NoRoom:
		return 0
	case Failed:
		return passTimeError
	}
	return passTime
}

// MayShare reports whether the response, an error of the app, may be given to those who wait for it: Store.Share.
func (v *Verdict) MayShare() bool { return v.Reason == Failed && v.shared }

// IsFresh reports whether the response is fresh now that it comes.
func (v *Verdict) IsFresh() bool { return v.Reason == None && v.Age < v.Fresh }

// Response is what the app has answered.
type Response struct {
	Status int
	Fields []http1.Field // with X-Accel-Expires, if the app may say that
}

// Judge says whether the response to a request is kept, and for how long it is good from now, when its head came. The time that the app has
// taken does not count, as with nginx and Varnish: an app that is slow because it has too much to do needs the cache most.
// Nor is Date compared with our clock, as the app's may be wrong.
func Judge(p *Policy, place *Place, q *Request, r Response, now time.Time) Verdict {
	v := Verdict{policy: p, place: place}
	if v.Reason = v.judge(q, r, now); v.Reason != None {
		return v
	}
	v.Fresh, v.Updating, v.Fail = min(v.Fresh, longest), min(v.Updating, longest), min(v.Fail, longest)
	if p.Most > 0 {
		v.Fresh = min(v.Fresh, p.Most)
	}
	_, validators := headers.Value(r.Fields, "etag")
	_, modified := headers.Value(r.Fields, "last-modified")
	if validators+modified > 0 {
		v.Revalidate = min(p.Revalidate, longest)
	}
	if v.Age >= v.Fresh+max(v.Updating, v.Fail, v.Revalidate) {
		v.Reason = NotFresh
	}
	return v
}

// judge fills in v but for what Judge does.
func (v *Verdict) judge(q *Request, r Response, now time.Time) Reason {
	p := v.policy
	switch {
	case q.IsHead():
		return OtherMethod
	case isStream(r.Fields):
		return Streams
	case !mayBeKept(p, r.Status) && r.Status >= 500:
		v.shared = v.isForAll(q, r)
		return Failed
	case !mayBeKept(p, r.Status):
		return OtherStatus
	}
	if !p.WithoutCookies && headers.Has(r.Fields, "set-cookie") || headers.Has(r.Fields, "clear-site-data") {
		return SetsCookie
	}
	if headers.Has(r.Fields, "x-accel-redirect") { // another answers, because the app has let this client in
		return Private
	}
	var always, ok bool
	if v.vary, always = headers.ParseVary(r.Fields); always {
		return VariesAlways
	}
	v.variant = v.place.hasher.variant(v.vary, q.Fields)
	if v.groups, ok = headers.Groups(r.Fields); !ok {
		return Malformed
	}
	if v.channels, ok = headers.Channels(r.Fields); !ok {
		return Malformed
	}
	authorized := !v.isOwn() && headers.Has(q.Fields, "authorization")
	v.Updating, v.Fail = p.Updating, p.Fail
	if p.IgnoreApp {
		if authorized && !p.Shared {
			return Authorized
		}
		if !isDefault(p, r.Status) {
			return OtherStatus
		}
		v.Fresh = p.Fresh
		return None
	}
	d, targeted := headers.CDNDirectives(r.Fields)
	if !targeted {
		d = headers.ParseDirectives(r.Fields)
	}
	for _, name := range d.Hidden { // they are looked at when the body is here, and the head's bytes are not
		v.hidden = append(v.hidden, bytes.Clone(name))
	}
	if authorized && !d.Public && !d.MustRevalidate && d.SharedMaxAge == headers.Absent { // RFC 9111 §3.5
		return Authorized
	}
	v.Age = headers.Age(r.Fields)
	if fresh, keep, said := headers.AccelExpires(r.Fields, now); said {
		v.Age = 0 // it is a time of this cache's own
		if !keep {
			return NoStore
		}
		v.Fresh = fresh
		return None
	}
	return v.obey(&d, targeted, r, now)
}

// obey applies Cache-Control, or the field that stands for it.
func (v *Verdict) obey(d *headers.Directives, targeted bool, r Response, now time.Time) Reason {
	p := v.policy
	switch {
	case d.Malformed:
		return Malformed
	case d.NoStore && !d.MustUnderstand: // all statuses that get here are understood (RFC 9111 §5.2.2.3)
		return NoStore
	case d.Private && !v.isOwn():
		return Private
	}
	if d.StaleUpdating != headers.Absent {
		v.Updating = headers.Seconds(d.StaleUpdating)
	}
	if d.StaleFail != headers.Absent {
		v.Fail = headers.Seconds(d.StaleFail)
	}
	if d.NoCache || d.MustRevalidate || d.ProxyRevalidate || d.SharedMaxAge != headers.Absent { // RFC 9111 §4.2.4
		v.Updating, v.Fail = 0, 0
	}
	expires, dated := time.Duration(0), false
	if !targeted { // RFC 9213 §2.2
		expires, dated = headers.Expires(r.Fields, now)
	}
	switch {
	case d.NoCache:
		v.Fresh = 0
	case d.SharedMaxAge != headers.Absent:
		v.Fresh = headers.Seconds(d.SharedMaxAge)
	case d.MaxAge != headers.Absent:
		v.Fresh = headers.Seconds(d.MaxAge)
	case dated:
		v.Fresh = expires
	case isDefault(p, r.Status) && p.Fresh > 0:
		v.Fresh = p.Fresh
	default:
		v.Fresh = heuristic(p, r, now)
	}
	return None
}

// isOwn reports whether the response gets to nobody but the session that the request is of.
func (v *Verdict) isOwn() bool { return v.policy.OwnSession && len(v.place.sessions) > 0 }

// isStream reports whether a response may have no end: who waited for that would wait for ever.
func isStream(fields []http1.Field) bool {
	kind, _ := headers.Value(fields, "content-type")
	_, events := http1.CutPrefixFold(kind, "text/event-stream")
	_, parts := http1.CutPrefixFold(kind, "multipart/x-mixed-replace")
	buffering, _ := headers.Value(fields, "x-accel-buffering")
	return events || parts || http1.EqualFold(buffering, "no")
}

// isForAll reports whether an error is nobody's in particular.
func (v *Verdict) isForAll(q *Request, r Response) bool {
	p := v.policy
	names, always := headers.ParseVary(r.Fields)
	if always || len(names) > 0 || headers.Has(r.Fields, "set-cookie") {
		return false
	}
	if v.isOwn() || p.IgnoreApp && p.Shared {
		return true
	}
	d := headers.ParseDirectives(r.Fields)
	return !headers.Has(q.Fields, "authorization") && (p.IgnoreApp || !d.NoStore && !d.Private && !d.Malformed)
}

// mayBeKept reports whether responses of a status are ever kept. Parts (206), interim ones (1xx) and 304 never are. Nor are
// errors that tell of the request, which a client can cause for all others by a header that is in no key, unless the rule
// lists them.
func mayBeKept(p *Policy, status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410, 451:
		return true
	case 206, 304:
		return false
	}
	return status >= 200 && len(p.Statuses) > 0 && isDefault(p, status)
}

// isDefault reports whether Policy.Fresh is for a status.
func isDefault(p *Policy, status int) bool {
	if len(p.Statuses) == 0 {
		return status == 200 || status == 204 || status == 404
	}
	for _, s := range p.Statuses {
		if s == status {
			return true
		}
	}
	return false
}

// heuristic returns how long a response is fresh of which nobody says (RFC 9111 §4.2.2).
func heuristic(p *Policy, r Response, now time.Time) time.Duration {
	switch r.Status {
	case 200, 203, 204, 300, 301, 308, 404, 410: // RFC 9110 §15.1, of those that are kept
	default:
		return 0
	}
	modified, n := headers.Value(r.Fields, "last-modified")
	if n == 0 || p.Heuristic <= 0 {
		return 0
	}
	t, err := http.ParseTime(string(modified))
	if err != nil {
		return 0
	}
	fresh := time.Duration(float64(max(headers.Date(r.Fields, now).Sub(t), 0)) * min(p.Heuristic, 1))
	return min(fresh, p.HeuristicMost)
}
