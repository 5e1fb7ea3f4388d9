package cache

import (
	"net/http"
	"time"

	"holdfast/internal/cache/structured"
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
const longest = maxSeconds * time.Second

// Verdict is what Judge says of a response.
type Verdict struct {
	Reason Reason // why it is not kept; None: it is

	Age   time.Duration // that it had when it came
	Fresh time.Duration // for how long it is, counted from an age of 0. 0: it has to be validated each time

	Updating, Fail, Revalidate time.Duration // how long after Fresh it may be used in these ways

	policy  *Policy
	place   *Place
	hidden  [][]byte // names of fields that are not kept
	vary    []string
	variant Key // of the request, by vary
	groups  []string
	shared  bool // an error that is good for all
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
	_, validators := value(r.Fields, "etag")
	_, modified := value(r.Fields, "last-modified")
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
	if !p.WithoutCookies && has(r.Fields, "set-cookie") || has(r.Fields, "clear-site-data") {
		return SetsCookie
	}
	if has(r.Fields, "x-accel-redirect") { // another answers, because the app has let this client in
		return Private
	}
	var always, ok bool
	if v.vary, always = ParseVary(r.Fields); always {
		return VariesAlways
	}
	v.variant = v.place.hasher.variant(v.vary, q.Fields)
	if v.groups, ok = Groups(r.Fields); !ok {
		return Malformed
	}
	authorized := !v.isOwn() && has(q.Fields, "authorization")
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
	d, targeted := cdnDirectives(r.Fields)
	if !targeted {
		d = ParseDirectives(r.Fields)
	}
	v.hidden = d.Hidden
	if authorized && !d.Public && !d.MustRevalidate && d.SharedMaxAge == absent { // RFC 9111 §3.5
		return Authorized
	}
	v.Age = ageOf(r.Fields)
	if fresh, keep, said := accelExpires(r.Fields, now); said {
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
func (v *Verdict) obey(d *Directives, targeted bool, r Response, now time.Time) Reason {
	p := v.policy
	switch {
	case d.Malformed:
		return Malformed
	case d.NoStore && !d.MustUnderstand: // all statuses that get here are understood (RFC 9111 §5.2.2.3)
		return NoStore
	case d.Private && !v.isOwn():
		return Private
	}
	if d.StaleUpdating != absent {
		v.Updating = seconds(d.StaleUpdating)
	}
	if d.StaleFail != absent {
		v.Fail = seconds(d.StaleFail)
	}
	if d.NoCache || d.MustRevalidate || d.ProxyRevalidate || d.SharedMaxAge != absent { // RFC 9111 §4.2.4
		v.Updating, v.Fail = 0, 0
	}
	expires, dated := time.Duration(0), false
	if !targeted { // RFC 9213 §2.2
		expires, dated = expiresOf(r.Fields, now)
	}
	switch {
	case d.NoCache:
		v.Fresh = 0
	case d.SharedMaxAge != absent:
		v.Fresh = seconds(d.SharedMaxAge)
	case d.MaxAge != absent:
		v.Fresh = seconds(d.MaxAge)
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
	kind, _ := value(fields, "content-type")
	_, events := http1.CutPrefixFold(kind, "text/event-stream")
	_, parts := http1.CutPrefixFold(kind, "multipart/x-mixed-replace")
	buffering, _ := value(fields, "x-accel-buffering")
	return events || parts || http1.EqualFold(buffering, "no")
}

// isForAll reports whether an error is nobody's in particular.
func (v *Verdict) isForAll(q *Request, r Response) bool {
	p := v.policy
	names, always := ParseVary(r.Fields)
	if always || len(names) > 0 || has(r.Fields, "set-cookie") {
		return false
	}
	if v.isOwn() || p.IgnoreApp && p.Shared {
		return true
	}
	d := ParseDirectives(r.Fields)
	return !has(q.Fields, "authorization") && (p.IgnoreApp || !d.NoStore && !d.Private && !d.Malformed)
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
	modified, n := value(r.Fields, "last-modified")
	if n == 0 || p.Heuristic <= 0 {
		return 0
	}
	t, err := http.ParseTime(string(modified))
	if err != nil {
		return 0
	}
	fresh := time.Duration(float64(max(dateOf(r.Fields, now).Sub(t), 0)) * min(p.Heuristic, 1))
	return min(fresh, p.HeuristicMost)
}

// cdnDirectives reads CDN-Cache-Control (RFC 9213), which counts instead of Cache-Control and Expires. A field that is empty
// or not a structured field, also by a value of another type than its directive's, counts as absent.
func cdnDirectives(fields []http1.Field) (d Directives, ok bool) {
	if !has(fields, "cdn-cache-control") {
		return d, false
	}
	d = noDirectives
	n := 0
	ok = structured.Dictionary(appendList(nil, fields, "cdn-cache-control"), func(key string, v structured.Item) bool {
		n++
		flag := v.Kind == structured.Boolean
		set := v.Number == 1
		switch key {
		case "no-store":
			d.NoStore = set
		case "private":
			d.Private, flag = set || v.Kind == structured.String, flag || v.Kind == structured.String
		case "public":
			d.Public = set
		case "must-revalidate":
			d.MustRevalidate = set
		case "proxy-revalidate":
			d.ProxyRevalidate = set
		case "must-understand":
			d.MustUnderstand = set
		case "no-cache":
			d.NoCache, d.Hidden = false, nil
			if v.Kind == structured.String {
				d.noCache(v.Text)
				return true
			}
			d.NoCache = set
		case "max-age":
			return cdnSeconds(&d.MaxAge, v)
		case "s-maxage":
			return cdnSeconds(&d.SharedMaxAge, v)
		case "stale-while-revalidate":
			return cdnSeconds(&d.StaleUpdating, v)
		case "stale-if-error":
			return cdnSeconds(&d.StaleFail, v)
		default:
			return true
		}
		return flag
	})
	return d, ok && n > 0
}

func cdnSeconds(to *int64, v structured.Item) bool {
	*to = min(max(v.Number, 0), maxSeconds)
	return v.Kind == structured.Integer
}

// accelExpires reads X-Accel-Expires, which comes before all others, as with nginx: seconds, or a time after an @. keep is
// whether the response is kept, said whether there is such a field that can be read.
func accelExpires(fields []http1.Field, now time.Time) (fresh time.Duration, keep, said bool) {
	v, n := value(fields, "x-accel-expires")
	if n == 0 || len(v) == 0 {
		return 0, false, false
	}
	if v[0] != '@' {
		s, ok := parseSeconds(v)
		return seconds(s), s > 0, ok
	}
	at, ok := http1.ParseLength(v[1:])
	if !ok {
		return 0, false, false
	}
	left := min(at-now.Unix(), maxSeconds)
	return seconds(max(left, 0)), left > 0, true
}

// ageOf returns the value of Age (RFC 9111 §5.1): the first of a list; what can't be read is ignored.
func ageOf(fields []http1.Field) time.Duration {
	v, _ := value(fields, "age")
	for i, c := range v {
		if c == ',' {
			v = http1.TrimOWS(v[:i])
			break
		}
	}
	s, _ := parseSeconds(v)
	return seconds(s)
}

// expiresOf returns how long after Date Expires is (RFC 9111 §4.2.1), which needs no clock of ours. One that can't be read,
// as 0, is in the past (§5.3), and so are two that differ.
func expiresOf(fields []http1.Field, now time.Time) (fresh time.Duration, said bool) {
	v, n := value(fields, "expires")
	if n == 0 {
		return 0, false
	}
	for i := range fields {
		if f := &fields[i]; n > 1 && !f.Drop && http1.EqualFold(f.Name, "expires") && string(f.Value) != string(v) {
			return 0, true
		}
	}
	t, err := http.ParseTime(string(v))
	if err != nil {
		return 0, true
	}
	return min(max(t.Sub(dateOf(fields, now)), 0), seconds(maxSeconds)), true
}

// dateOf returns Date, or now if there is none that can be read.
func dateOf(fields []http1.Field, now time.Time) time.Time {
	v, _ := value(fields, "date")
	if t, err := http.ParseTime(string(v)); err == nil {
		return t
	}
	return now
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
