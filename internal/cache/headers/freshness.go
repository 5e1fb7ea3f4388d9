package headers

import (
	"net/http"
	"time"

	"holdfast/internal/cache/structured"
	"holdfast/internal/http1"
)

// CDNDirectives reads CDN-Cache-Control (RFC 9213), which counts instead of Cache-Control and Expires. A field that is empty
// or not a structured field, also by a value of another type than its directive's, counts as Absent.
func CDNDirectives(fields []http1.Field) (d Directives, ok bool) {
	if !Has(fields, "cdn-cache-control") {
		return d, false
	}
	d = noDirectives
	n := 0
	ok = structured.Dictionary(AppendList(nil, fields, "cdn-cache-control"), func(key string, v structured.Item) bool {
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
	*to = min(max(v.Number, 0), MaxSeconds)
	return v.Kind == structured.Integer
}

// AccelExpires reads X-Accel-Expires, which comes before all others, as with nginx: seconds, or a time after an @. keep is
// whether the response is kept, said whether there is such a field that can be read.
func AccelExpires(fields []http1.Field, now time.Time) (fresh time.Duration, keep, said bool) {
	v, n := Value(fields, "x-accel-expires")
	if n == 0 || len(v) == 0 {
		return 0, false, false
	}
	if v[0] != '@' {
		s, ok := parseSeconds(v)
		return Seconds(s), s > 0, ok
	}
	at, ok := http1.ParseLength(v[1:])
	if !ok {
		return 0, false, false
	}
	left := min(at-now.Unix(), MaxSeconds)
	return Seconds(max(left, 0)), left > 0, true
}

// Age returns the value of Age (RFC 9111 §5.1): the first of a list; what can't be read is ignored.
func Age(fields []http1.Field) time.Duration {
	v, _ := Value(fields, "age")
	for i, c := range v {
		if c == ',' {
			v = http1.TrimOWS(v[:i])
			break
		}
	}
	s, _ := parseSeconds(v)
	return Seconds(s)
}

// Expires returns how long after Date Expires is (RFC 9111 §4.2.1), which needs no clock of ours. One that can't be read,
// as 0, is in the past (§5.3), and so are two that differ.
func Expires(fields []http1.Field, now time.Time) (fresh time.Duration, said bool) {
	v, n := Value(fields, "expires")
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
	return min(max(t.Sub(Date(fields, now)), 0), Seconds(MaxSeconds)), true
}

// Date returns Date, or now if there is none that can be read.
func Date(fields []http1.Field, now time.Time) time.Time {
	v, _ := Value(fields, "date")
	if t, err := http.ParseTime(string(v)); err == nil {
		return t
	}
	return now
}

func Seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
