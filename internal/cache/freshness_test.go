package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache/headers"
)

// strict keeps what RFC 9111 lets a shared cache keep, and validates.
var strict = Policy{Revalidate: time.Hour}

// verdict writes a verdict of a response: why it is not kept, or for how many seconds it is fresh, and with ~ that it has
// to be validated each time.
func verdict(v *Verdict) string {
	switch {
	case v.Reason != None:
		return v.Reason.String()
	case !v.IsFresh():
		return "~"
	}
	text := fmt.Sprint(int64((v.Fresh - v.Age) / time.Second))
	if v.Updating > 0 {
		text += fmt.Sprintf(" updating %d", v.Updating/time.Second)
	}
	if v.Fail > 0 {
		text += fmt.Sprintf(" fail %d", v.Fail/time.Second)
	}
	return text
}

// TestJudge is the rules of RFC 9111 for a shared cache.
func TestJudge(t *testing.T) {
	date := "Date: " + dated(0) + "\n"
	for _, c := range []struct{ name, response, want string }{
		{"nothing", "", "stale"},
		{"only a validator", `ETag: "a"`, "~"},

		// Which counts.
		{"max-age", "Cache-Control: max-age=60", "60"},
		{"s-maxage", "Cache-Control: s-maxage=60", "60"},
		{"s-maxage before a longer max-age", "Cache-Control: max-age=3600, s-maxage=1", "1"},
		{"s-maxage before a shorter max-age", "Cache-Control: max-age=1\nCache-Control: s-maxage=3600", "3600"},
		{"s-maxage=0 before max-age", "Cache-Control: s-maxage=0, max-age=60", "stale"},
		{"max-age before Expires", "Cache-Control: max-age=60\nExpires: " + dated(-time.Hour), "60"},
		{"max-age=0 before Expires", "Cache-Control: max-age=0\nExpires: " + dated(time.Hour), "stale"},
		{"max-age before an Expires that can't be read", "Cache-Control: max-age=60\nExpires: 0", "60"},
		{"Expires after Date", date + "Expires: " + dated(time.Minute), "60"},
		{"Expires without Date", "Expires: " + dated(time.Minute), "59"},
		{"the app's clock is wrong", "Date: " + dated(-30*time.Hour) + "\nExpires: " + dated(-30*time.Hour+time.Minute), "60"},
		{"a Date that can't be read", "Date: yesterday\nExpires: " + dated(time.Minute), "59"},
		{"Date alone makes nothing old", "Date: " + dated(-time.Hour) + "\nCache-Control: max-age=60", "60"},

		// Values.
		{"max-age=0", "Cache-Control: max-age=0", "stale"},
		{"max-age=0 and a validator", "Cache-Control: max-age=0\nLast-Modified: " + dated(-time.Hour), "~"},
		{"negative", "Cache-Control: max-age=-3600", "stale"},
		{"quoted", `Cache-Control: max-age="3600"`, "3600"},
		{"single quotes", "Cache-Control: max-age='3600'", "stale"},
		{"twice and different", "Cache-Control: max-age=1800, max-age=1", "stale"},
		{"huge", "Cache-Control: max-age=99999999999", "2147483648"},
		{"a quoted string that does not end", `Cache-Control: max-age=60, x="y`, "malformed"},
		{"Expires: 0", "Expires: 0", "stale"},
		{"Expires: -1", "Expires: -1", "stale"},
		{"Expires in the past", date + "Expires: " + dated(-time.Minute), "stale"},
		{"Expires now", date + "Expires: " + dated(0), "stale"},
		{"Expires without a comma", "Expires: Thu 18 Aug 2050 02:01:18 GMT", "stale"},
		{"Expires in UTC", "Expires: Thu, 18 Aug 2050 02:01:18 UTC", "stale"},
		{"Expires as in RFC 850", "Date: Sunday, 06-Nov-94 08:49:37 GMT\nExpires: Sunday, 06-Nov-94 08:50:37 GMT", "60"},
		{"Expires far away", date + "Expires: Thu, 18 Aug 9999 02:01:18 GMT", "2147483648"},
		{"two equal Expires", date + "Expires: " + dated(time.Minute) + "\nExpires: " + dated(time.Minute), "60"},
		{"two different Expires", date + "Expires: " + dated(time.Minute) + "\nExpires: " + dated(time.Hour), "stale"},

		// Age.
		{"Age", "Cache-Control: max-age=60\nAge: 50", "10"},
		{"as old as it may get", "Cache-Control: max-age=60\nAge: 60", "stale"},
		{"Age with Expires", date + "Expires: " + dated(time.Minute) + "\nAge: 20", "40"},
		{"Age that is no number", "Cache-Control: max-age=60\nAge: abc", "60"},
		{"negative Age", "Cache-Control: max-age=60\nAge: -7200", "60"},
		{"fractional Age", "Cache-Control: max-age=60\nAge: 7200.0", "60"},
		{"the first of a list", "Cache-Control: max-age=60\nAge: 50, 0", "10"},
		{"the first of two lines", "Cache-Control: max-age=60\nAge: 0\nAge: 7200", "60"},
		{"Age of 2^31", "Cache-Control: max-age=2147483648\nAge: 2147483648", "stale"},
		{"Age beyond", "Cache-Control: max-age=99999999999\nAge: 99999999999999999999", "stale"},

		// What forbids it.
		{"no-store", "Cache-Control: no-store, max-age=60", "no_store"},
		{"No-StOrE amid others", "Cache-Control: foo, No-StOrE, bar=baz, max-age=60", "no_store"},
		{"no-store in a quoted string", `Cache-Control: foo="no-store", max-age=60`, "60"},
		{"private", "Cache-Control: PriVate, max-age=60", "private"},
		{"private with fields", `Cache-Control: private="x", max-age=60`, "private"},
		{"no-cache", "Cache-Control: no-cache, max-age=60", "stale"},
		{"No-CaChE with a validator", "Cache-Control: max-age=60, No-CaChE\nETag: \"a\"", "~"},
		{"no-cache of a field", `Cache-Control: max-age=60, no-cache="x"`, "60"},
		{"must-understand", "Cache-Control: must-understand, no-store, max-age=60", "60"},
		{"as PHP writes it", "Expires: Thu, 19 Nov 1981 08:52:00 GMT\nCache-Control: no-store, no-cache, must-revalidate\nPragma: no-cache", "no_store"},
		{"Pragma says nothing in a response", "Pragma: no-cache\nCache-Control: max-age=60", "60"},
		{"Set-Cookie", "Set-Cookie: a=b\nCache-Control: max-age=60, public", "set_cookie"},
		{"X-Accel-Redirect", "X-Accel-Redirect: /secret\nCache-Control: max-age=60", "private"},
		{"events", "Content-Type: text/event-stream; charset=utf-8\nCache-Control: max-age=60", "stream"},
		{"parts without end", "Content-Type: Multipart/X-Mixed-Replace; boundary=x\nCache-Control: max-age=60", "stream"},
		{"not to be buffered", "X-Accel-Buffering: no\nCache-Control: max-age=60", "stream"},
		{"to be buffered", "X-Accel-Buffering: yes\nCache-Control: max-age=60", "60"},
		{"Clear-Site-Data", "Clear-Site-Data: \"cookies\"\nCache-Control: max-age=60, public", "set_cookie"},
		{"Vary: *", "Vary: *\nCache-Control: max-age=60", "vary"},
		{"* in a list", "Vary: Accept, *\nCache-Control: max-age=60", "vary"},
		{"* in another line", "Vary: Accept\nVary: ,*\nCache-Control: max-age=60", "vary"},
		{"by the client's address", "Vary: X-Forwarded-For\nCache-Control: max-age=60", "vary"},
		{"by the scheme", "Vary: X-Forwarded-Proto\nCache-Control: max-age=60", "60"},

		// Stale.
		{"windows", "Cache-Control: max-age=60, stale-while-revalidate=5, stale-if-error=7", "60 updating 5 fail 7"},
		{"must-revalidate", "Cache-Control: max-age=60, stale-while-revalidate=5, stale-if-error=7, must-revalidate", "60"},
		{"proxy-revalidate", "Cache-Control: max-age=60, stale-while-revalidate=5, proxy-revalidate", "60"},
		{"s-maxage forbids it", "Cache-Control: s-maxage=60, stale-while-revalidate=5", "60"},
		{"a window that can't be read", "Cache-Control: max-age=60, stale-while-revalidate=x", "60"},

		// X-Accel-Expires.
		{"seconds", "X-Accel-Expires: 30\nCache-Control: max-age=60", "30"},
		{"before private and no-store", "X-Accel-Expires: 30\nCache-Control: private, no-store\nExpires: 0", "30"},
		{"but not before Set-Cookie", "X-Accel-Expires: 30\nSet-Cookie: a=b", "set_cookie"},
		{"0", "X-Accel-Expires: 0\nCache-Control: max-age=60", "no_store"},
		{"absolute", fmt.Sprintf("X-Accel-Expires: @%d", start.Unix()+90), "90"},
		{"absolute and past", fmt.Sprintf("X-Accel-Expires: @%d\nCache-Control: max-age=60", start.Unix()-1), "no_store"},
		{"@0", "X-Accel-Expires: @0\nCache-Control: max-age=60", "no_store"},
		{"absolute and far", "X-Accel-Expires: @99999999999999", "2147483648"},
		{"that can't be read", "X-Accel-Expires: soon\nCache-Control: max-age=60", "60"},
		{"@ that can't be read", "X-Accel-Expires: @99999999999999999999\nCache-Control: max-age=60", "60"},

		// CDN-Cache-Control.
		{"cdn: longer", "CDN-Cache-Control: max-age=3600\nCache-Control: max-age=1", "3600"},
		{"cdn: shorter", "CDN-Cache-Control: max-age=1\nCache-Control: max-age=3600", "1"},
		{"cdn: before no-store", "CDN-Cache-Control: max-age=10\nCache-Control: no-store", "10"},
		{"cdn: before Expires", "CDN-Cache-Control: none\n" + date + "Expires: " + dated(time.Minute), "stale"},
		{"cdn: private", "CDN-Cache-Control: private\nCache-Control: max-age=60", "private"},
		{"cdn: no-store", "CDN-Cache-Control: no-store\nCache-Control: max-age=60", "no_store"},
		{"cdn: no-cache", "CDN-Cache-Control: no-cache, max-age=5\nCache-Control: max-age=60", "stale"},
		{"cdn: Age counts", "CDN-Cache-Control: max-age=60\nAge: 50", "10"},
		{"cdn: huge", "CDN-Cache-Control: max-age=99999999999", "2147483648"},
		{"cdn: the last counts", "CDN-Cache-Control: max-age=5\nCDN-Cache-Control: max-age=7", "7"},
		{"cdn: parameters are ignored", "CDN-Cache-Control: max-age=5;x=1, must-revalidate;y", "5"},
		{"cdn: no-store=?0", "CDN-Cache-Control: no-store=?0, max-age=5", "5"},
		{"cdn: negative", "CDN-Cache-Control: max-age=-5\nCache-Control: max-age=60", "stale"},
		{"cdn: empty", "CDN-Cache-Control:\nCache-Control: max-age=60", "60"},
		{"cdn: malformed", "CDN-Cache-Control: max-age=10000, &&&&&\nCache-Control: no-store", "no_store"},
		{"cdn: wrong type", `CDN-Cache-Control: max-age="10000"` + "\nCache-Control: no-store", "no_store"},
		{"cdn: another wrong type", "CDN-Cache-Control: no-store=1\nCache-Control: max-age=60", "60"},
		{"cdn: upper case", "CDN-Cache-Control: Max-Age=100\nCache-Control: max-age=60", "60"},
		{"cdn: space before =", "CDN-Cache-Control: max-age =100\nCache-Control: max-age=60", "60"},

		{"cdn: the others", "CDN-Cache-Control: s-maxage=5, must-understand, no-store, stale-while-revalidate=1", "5"},
		{"cdn: windows", "CDN-Cache-Control: max-age=5, stale-while-revalidate=1, stale-if-error=2", "5 updating 1 fail 2"},
		{"cdn: proxy-revalidate", "CDN-Cache-Control: max-age=5, stale-while-revalidate=1, proxy-revalidate", "5"},
		{"cdn: private with fields", `CDN-Cache-Control: private="x", max-age=5`, "private"},
		{"cdn: no-cache of a field", `CDN-Cache-Control: no-cache="x", max-age=5`, "5"},
		{"groups", `Cache-Groups: "a"` + "\nCache-Control: max-age=60", "60"},
		{"too many groups", "Cache-Groups: \"g\"" + strings.Repeat(`, "g"`, headers.MaxGroups) + "\nCache-Control: max-age=60", "malformed"},
		{"malformed groups", "Cache-Groups: a\nCache-Control: max-age=60", "60"},
	} {
		q := requestOf(t, "/", "")
		v := Judge(&strict, placeOf(q), q, responseOf(t, 200, c.response), start)
		if got := verdict(&v); got != c.want {
			t.Errorf("%s: %s; want %s\n%s", c.name, got, c.want, c.response)
		}
	}
}

// TestJudgeStatus: with a time of the app, without one but a rule's, and with Last-Modified only.
func TestJudgeStatus(t *testing.T) {
	rule := Policy{Fresh: time.Minute}
	listed := Policy{Fresh: time.Minute, Statuses: []int{200, 403, 500}}
	guess := Policy{Heuristic: 0.1, HeuristicMost: time.Hour}
	for _, c := range []struct {
		status                       int
		said, rule, listed, modified string
	}{
		{200, "5", "60", "60", "60"},
		{203, "5", "stale", "stale", "60"},
		{204, "5", "60", "stale", "60"},
		{301, "5", "stale", "stale", "60"},
		{308, "5", "stale", "stale", "60"},
		{404, "5", "60", "stale", "60"},
		{410, "5", "stale", "stale", "60"},
		{302, "5", "stale", "stale", "stale"},
		{303, "5", "stale", "stale", "stale"},
		{307, "5", "stale", "stale", "stale"},
		{451, "5", "stale", "stale", "stale"},

		{100, "status", "status", "status", "status"},
		{103, "status", "status", "status", "status"},
		{199, "status", "status", "status", "status"},
		{201, "status", "status", "status", "status"},
		{202, "status", "status", "status", "status"},
		{206, "status", "status", "status", "status"},
		{304, "status", "status", "status", "status"},
		{400, "status", "status", "status", "status"},
		{401, "status", "status", "status", "status"},
		{403, "status", "status", "60", "status"},
		{405, "status", "status", "status", "status"},
		{413, "status", "status", "status", "status"},
		{414, "status", "status", "status", "status"},
		{431, "status", "status", "status", "status"},
		{500, "error", "error", "60", "error"},
		{501, "error", "error", "error", "error"},
		{503, "error", "error", "error", "error"},
		{599, "error", "error", "error", "error"},
		{299, "status", "status", "status", "status"},
	} {
		for _, k := range []struct {
			name, fields, want string
			policy             *Policy
		}{
			{"said", "Cache-Control: max-age=5", c.said, &strict},
			{"rule", "", c.rule, &rule},
			{"listed", "", c.listed, &listed},
			{"modified", "Date: " + dated(0) + "\nLast-Modified: " + dated(-10*time.Minute), c.modified, &guess},
		} {
			q := requestOf(t, "/", "")
			v := Judge(k.policy, placeOf(q), q, responseOf(t, c.status, k.fields), start)
			if got := verdict(&v); got != k.want {
				t.Errorf("%d, %s: %s; want %s", c.status, k.name, got, k.want)
			}
		}
	}
}

// placeFor returns a request's place, which is a session's if the policy is for that.
func placeFor(p *Policy, q *Request) *Place {
	if p.OwnSession {
		return NewHasher().NewPlace("rule", "", q, nil, []Tag{1})
	}
	return placeOf(q)
}

// TestNoSession: of a rule for sessions, the answer to a request without one is nobody's own.
func TestNoSession(t *testing.T) {
	q := requestOf(t, "/", "")
	own := Policy{OwnSession: true, Fresh: time.Minute}
	for fields, want := range map[string]string{"Cache-Control: private, max-age=5": "private", "Cache-Control: max-age=5": "5", "": "60"} {
		v := Judge(&own, placeOf(q), q, responseOf(t, 200, fields), start)
		if got := verdict(&v); got != want {
			t.Errorf("%s: %s; want %s", fields, got, want)
		}
	}
}

// TestJudgePolicy: what a rule may say, and what it may not.
func TestJudgePolicy(t *testing.T) {
	php := "Expires: Thu, 19 Nov 1981 08:52:00 GMT\nCache-Control: no-store, no-cache, must-revalidate"
	basic := "Authorization: Basic YTpi"
	for _, c := range []struct {
		name, request, response string
		policy                  Policy
		want                    string
	}{
		{"the app's word counts", "", "Cache-Control: max-age=5", Policy{Fresh: time.Minute}, "5"},
		{"also if it forbids", "", php, Policy{Fresh: time.Minute}, "no_store"},
		{"unless it is ignored", "", php, Policy{Fresh: time.Minute, IgnoreApp: true}, "60"},
		{"with X-Accel-Expires", "", "X-Accel-Expires: 0", Policy{Fresh: time.Minute, IgnoreApp: true}, "60"},
		{"never Set-Cookie", "", php + "\nSet-Cookie: a=b", Policy{Fresh: time.Minute, IgnoreApp: true}, "set_cookie"},
		{"never Vary: *", "", "Vary: *", Policy{Fresh: time.Minute, IgnoreApp: true}, "vary"},
		{"but without the cookie", "", "Set-Cookie: a=b", Policy{Fresh: time.Minute, WithoutCookies: true}, "60"},
		{"the rule's windows", "", "Cache-Control: max-age=5", Policy{Updating: 2 * time.Second, Fail: 3 * time.Second}, "5 updating 2 fail 3"},
		{"0 of the app's", "", "Cache-Control: max-age=5, stale-while-revalidate=0", Policy{Updating: time.Second}, "5"},
		{"not against must-revalidate", "", "Cache-Control: max-age=5, must-revalidate", Policy{Updating: time.Second, Fail: time.Second}, "5"},
		{"a bound", "", "Cache-Control: max-age=500", Policy{Most: 7 * time.Second}, "7"},
		{"the bound and Age", "", "Cache-Control: max-age=500\nAge: 5", Policy{Most: 7 * time.Second}, "2"},

		{"a login", basic, "Cache-Control: max-age=5", strict, "authorization"},
		{"and public", basic, "Cache-Control: max-age=5, public", strict, "5"},
		{"and s-maxage", basic, "Cache-Control: s-maxage=5", strict, "5"},
		{"and must-revalidate", basic, "Cache-Control: max-age=5, must-revalidate", strict, "5"},
		{"and proxy-revalidate", basic, "Cache-Control: max-age=5, proxy-revalidate", strict, "authorization"},
		{"and Expires", basic, "Expires: " + dated(time.Minute), strict, "authorization"},
		{"and X-Accel-Expires", basic, "X-Accel-Expires: 5", strict, "authorization"},
		{"and a CDN's public", basic, "CDN-Cache-Control: max-age=5, public", strict, "5"},
		{"and public that a CDN is not told", basic, "CDN-Cache-Control: max-age=5\nCache-Control: public", strict, "authorization"},
		{"and the rule's time", basic, "", Policy{Fresh: time.Minute}, "authorization"},
		{"and one that ignores the app", basic, "", Policy{Fresh: time.Minute, IgnoreApp: true}, "authorization"},
		{"and says that it is everybody's", basic, "", Policy{Fresh: time.Minute, IgnoreApp: true, Shared: true}, "60"},
		{"which alone is not enough", basic, "", Policy{Fresh: time.Minute, Shared: true}, "authorization"},
		{"the login is in the key", basic, "", Policy{Fresh: time.Minute, OwnSession: true}, "60"},
		{"and it is private", "", "Cache-Control: private, max-age=5", Policy{OwnSession: true}, "5"},
		{"and no-store is", "", "Cache-Control: no-store, max-age=5", Policy{OwnSession: true}, "no_store"},

		{"a guess is bounded", "", "Date: " + dated(0) + "\nLast-Modified: " + dated(-1000*time.Hour), Policy{Heuristic: 0.1, HeuristicMost: time.Hour}, "3600"},
		{"from the future", "", "Date: " + dated(0) + "\nLast-Modified: " + dated(time.Hour), Policy{Heuristic: 0.1, HeuristicMost: time.Hour}, "stale"},
		{"not without Last-Modified", "", "Date: " + dated(0), Policy{Heuristic: 0.1, HeuristicMost: time.Hour}, "stale"},
		{"not with one that can't be read", "", "Last-Modified: 0", Policy{Heuristic: 0.1, HeuristicMost: time.Hour}, "stale"},
		{"not against max-age", "", "Cache-Control: max-age=0\nLast-Modified: " + dated(-time.Hour), Policy{Heuristic: 0.1, HeuristicMost: time.Hour}, "stale"},
		{"not against Expires", "", "Expires: 0\nLast-Modified: " + dated(-time.Hour), Policy{Heuristic: 0.1, HeuristicMost: time.Hour}, "stale"},
		{"not unless a rule says so", "", "Last-Modified: " + dated(-time.Hour), Policy{}, "stale"},
	} {
		q := requestOf(t, "/", c.request)
		v := Judge(&c.policy, placeFor(&c.policy, q), q, responseOf(t, 200, c.response), start)
		if got := verdict(&v); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
	q := requestOf(t, "HEAD /", "")
	if v := Judge(&strict, placeOf(q), q, responseOf(t, 200, "Cache-Control: max-age=5"), start); v.Reason != OtherMethod {
		t.Errorf("the response to HEAD: %v", v.Reason)
	}
}

// TestPass: what is likely to be the same the next time is remembered, and what is not is not.
func TestPass(t *testing.T) {
	for _, c := range []struct {
		status int
		fields string
		want   time.Duration
	}{
		{200, "Cache-Control: max-age=5", 0},
		{200, "Cache-Control: no-store", passTime},
		{200, "Set-Cookie: a=b", passTime},
		{403, "", passTime},
		{500, "", passTimeError},
	} {
		q := requestOf(t, "/", "")
		v := Judge(&strict, placeOf(q), q, responseOf(t, c.status, c.fields), start)
		if got := v.Pass(); got != c.want {
			t.Errorf("%d %s: %v; want %v", c.status, c.fields, got, c.want)
		}
	}
}

// TestMayShare: an error of the app goes to all who wait, unless it may be somebody's.
func TestMayShare(t *testing.T) {
	ignore, shared, own := Policy{IgnoreApp: true}, Policy{IgnoreApp: true, Shared: true}, Policy{OwnSession: true}
	for _, c := range []struct {
		status            int
		request, response string
		policy            *Policy
		want              bool
	}{
		{500, "", "", &strict, true},
		{503, "", "Retry-After: 5\nCache-Control: no-cache", &strict, true},
		{502, "", "Cache-Control: no-store", &strict, false},
		{502, "", "Cache-Control: private", &strict, false},
		{502, "", "Cache-Control: no-store", &ignore, true},
		{502, "", "Cache-Control: private", &own, true},
		{500, "", "Set-Cookie: a=b", &ignore, false},
		{500, "", "Vary: Accept", &strict, false},
		{500, "", "Vary: *", &own, false},
		{500, "Authorization: Basic YTpi", "", &strict, false},
		{500, "Authorization: Basic YTpi", "", &ignore, false},
		{500, "Authorization: Basic YTpi", "", &shared, true},
		{500, "Authorization: Basic YTpi", "", &own, true},
		{403, "", "", &strict, false},
		{200, "", "", &strict, false},
	} {
		q := requestOf(t, "/", c.request)
		v := Judge(c.policy, placeFor(c.policy, q), q, responseOf(t, c.status, c.response), start)
		if v.MayShare() != c.want {
			t.Errorf("%d, %s, %s: %v", c.status, c.request, c.response, v.MayShare())
		}
	}
}

// TestWish: what a client may say in Cache-Control.
func TestWish(t *testing.T) {
	e := entryOf(t, &strict, "Cache-Control: max-age=60", "", start)
	for _, c := range []struct {
		fields              string
		accepts, only, keep bool
	}{
		{"", true, false, true},
		{"Cache-Control: no-cache", false, false, true},
		{"Pragma: no-cache", false, false, true},
		{"Pragma: x\nCache-Control: max-age=60", true, false, true},
		{"Pragma: no-cache\nCache-Control: max-age=60", true, false, true},
		{"Cache-Control: max-age=0", false, false, true},
		{"Cache-Control: max-age=20", true, false, true},
		{"Cache-Control: max-age=19", false, false, true},
		{"Cache-Control: min-fresh=40", true, false, true},
		{"Cache-Control: min-fresh=41", false, false, true},
		{"Cache-Control: no-store", true, false, false},
		{"Cache-Control: Only-If-Cached", true, true, true},
	} {
		w := WishOf(fieldsOf(t, c.fields))
		if got := w.Accepts(e, start.Add(20*time.Second)); got != c.accepts || w.OnlyCached() != c.only || w.MayKeep() != c.keep {
			t.Errorf("%s: accepts %v, only cached %v, may keep %v", c.fields, got, w.OnlyCached(), w.MayKeep())
		}
	}
}
