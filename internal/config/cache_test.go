package config

import (
	"reflect"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
)

func TestCacheRules(t *testing.T) {
	c, err := Parse("c.yaml", []byte(`
push: {logout: {cookies: [PHPSESSID]}}
polls:
- {match: /status.php, hold: 25s}
- {match: /admin-ajax.php, methods: [POST], key: [query, body, session], form: [action=x], fresh: 12s, pass: 0, channel: "a.{query.x}", ignore_app: false, drop_cookies: true, max_size: 8KB}
cache:
- {match: /, shared: true, fresh: 1m, statuses: [200, 500], stale_updating: 2s, stale_error: 3s, revalidate: 4s, honor_client: true, ignore_app: true}
cache_limits: {size: 4MB, session_size: 512KB, wait: 1s, held_size: 2MB}
buffers: {request: 4KB}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []rules.Options{
		{
			Name: "polls[0]", Match: "/status.php", Methods: []string{"GET"}, MaxBytes: 256 << 10, MaxBody: 4 << 10, Pass: 5 * time.Minute, Hold: 25 * time.Second,
			Policy: cache.Policy{Fresh: 10 * time.Second, IgnoreApp: true, ETag: true},
		},
		{
			Name: "polls[1]", Match: "/admin-ajax.php", Methods: []string{"POST"}, Parts: []string{"query", "body", "session"}, Form: []string{"action=x"}, Channel: "a.{query.x}",
			MaxBytes: 8 << 10, MaxBody: 4 << 10, Policy: cache.Policy{Fresh: 12 * time.Second, WithoutCookies: true, ETag: true},
		},
		{
			Name: "cache[0]", Match: "/", Shared: true, MaxBytes: 1 << 20, HonorClient: true,
			Policy: cache.Policy{Fresh: time.Minute, Statuses: []int{200, 500}, IgnoreApp: true, Updating: 2 * time.Second, Fail: 3 * time.Second, Revalidate: 4 * time.Second},
		},
	}
	if got := c.CacheRules(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if l := c.CacheLimits; l != (CacheLimits{Size: 4 * MB, SessionSize: 512 * KB, Wait: seconds(1), HeldSize: 2 * MB}) {
		t.Errorf("limits %+v", l)
	}
}

// What operators mistype, and what would store nothing, or never be reached.
func TestCacheErrors(t *testing.T) {
	check(t, []errorCase{
		{"no match", "polls: [{key: [query]}]", `1:9: polls[0].match: missing; want a path such as /status.php`},
		{"a pattern", "polls: [{match: /a/*}]", `1:17: polls[0].match: "/a/*" has other characters than letters, digits and -._~/; want a path such as /status.php`},
		{"the push path", "cache: [{match: /_push/a}]", `1:17: cache[0].match: "/_push/a" is a push path, which Holdfast itself answers; want a path on the app`},
		{"hold of cache, which is not there", "cache: [{match: /a, hold: 1s}]", `1:21: cache[0].hold: unknown key`},
		{"an unknown part", "polls: [{match: /a, key: [querry]}]", `1:26: polls[0].key: "querry" is not known; want query, query.NAME, -query.NAME, session, cookie.NAME, header.NAME, body or -body.NAME`},
		{"a field without its value", "polls: [{match: /a, methods: [POST], key: [body], form: [action]}]", `1:57: polls[0].form: "action": want NAME=VALUE, such as action=heartbeat`},
		{"a form of a GET", "polls: [{match: /a, key: [body], form: [a=b]}]", `1:40: polls[0].form: is of the body, which a GET does not have; want methods without GET`},
		{"session of no cookie", "polls: [{match: /a, key: [session]}]", `1:26: polls[0].key: has session, and no session cookies are named; set push.logout.cookies`},
		{"session and shared", "push: {logout: {cookies: [S]}}\ncache: [{match: /a, key: [session], shared: true}]", `2:45: cache[0].shared: has no effect, as key has session; want one of the two`},
		{"POST without its body", "polls: [{match: /a, methods: [POST]}]", `1:30: polls[0].methods: POST needs body among the parts of key`},
		{"a method that changes", "polls: [{match: /a, methods: [DELETE]}]", `1:30: polls[0].methods: "DELETE" can't be absorbed; want GET, POST or QUERY`},
		{"channel of what is no part", "polls: [{match: /a, key: [query.a], channel: \"c.{query.b}\"}]", `1:46: polls[0].channel: "c.{query.b}": query.b is not among the parts of key`},
		{"never reached", "polls: [{match: /a}]\ncache: [{match: /a/b}]", `2:17: cache[0].match: "/a/b" is never reached, as "/a" of polls[0] at line 1 matches all of it and the first match wins`},
		{"the same", "cache:\n- {match: /}\n- {match: /}", `3:11: cache[1].match: "/" is never reached, as "/" of cache[0] at line 2 matches all of it and the first match wins`},
		{"a status", "cache: [{match: /a, statuses: [200, 206]}]", `1:37: cache[0].statuses[1]: 206 is never stored; want a status such as 200 or 404`},
		{"nothing counts", "cache: [{match: /a, ignore_app: true}]", `1:33: cache[0].ignore_app: needs fresh, the time that counts instead of what the app says`},
		{"too large for a session", "push: {logout: {cookies: [S]}}\npolls: [{match: /a, max_size: 2MB}]", `2:31: polls[0].max_size: 2MB is more than 1MB, cache_limits.session_size, so that such a response is never stored`},
		{"too large", "polls: [{match: /a, max_size: 32MB}]", `1:31: polls[0].max_size: 32MB is more than 16MB, a quarter of cache_limits.size, so that such a response is never stored`},
		{"sizes", "cache_limits: {size: 1MB, session_size: 2MB}", `1:41: cache_limits.session_size: cache_limits.session_size 2MB is more than cache_limits.size 1MB`},
	})
	for _, fine := range []string{
		"polls: [{match: /a}, {match: /a, methods: [POST], key: [body]}]\ncache: [{match: /}]",
		"polls: [{match: /a, methods: [POST], key: [body]}]\ncache: [{match: /a}, {match: /ab}]",
	} {
		if _, err := Parse("c.yaml", []byte(fine)); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
}
