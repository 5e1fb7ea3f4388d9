package cache

import (
	"strings"
	"testing"
	"time"
)

// entryOf returns an entry of a 200 with fields and a body.
func entryOf(t testing.TB, p *Policy, fields, body string, now time.Time) *Entry {
	t.Helper()
	q, r := requestOf(t, "/", ""), responseOf(t, 200, fields)
	v := Judge(p, placeOf(q), q, r, now)
	if v.Reason != None {
		t.Fatalf("not kept: %v\n%s", v.Reason, fields)
	}
	return NewEntry(&v, r, []byte("200 OK"), []byte(body), now)
}

func TestUnchanged(t *testing.T) {
	modified := "Sun, 29 Nov 2026 10:00:00 GMT"
	for _, c := range []struct {
		etag, request string
		want          bool
	}{
		{`"a"`, "", false},
		{`"a"`, `If-None-Match: "a"`, true},
		{`"a"`, `If-None-Match: "b"`, false},
		{`"a"`, `If-None-Match: W/"a"`, true},
		{`W/"a"`, `If-None-Match: "a"`, true},
		{`W/"a"`, `If-None-Match: W/"a"`, true},
		{`"a"`, `If-None-Match: "x", "a", "y"`, true},
		{`"a"`, `If-None-Match: "x","y" ,W/"a"`, true},
		{`"a"`, `If-None-Match: "x"` + "\n" + `If-None-Match: "a"`, true},
		{`"a"`, `If-None-Match: "x, \"a\""`, false},
		{`"a,b"`, `If-None-Match: "x", "a,b"`, true},
		{`"a"`, `If-None-Match: "A"`, false},
		{`"a"`, `If-None-Match: "a`, false},
		{`"a"`, `If-None-Match: a`, false},
		{`"a"`, `If-None-Match: *`, true},
		{``, `If-None-Match: *`, true},
		{``, `If-None-Match: "a"`, false},
		{``, `If-None-Match: ""`, false},
		{`""`, `If-None-Match: ""`, true},
		{`abc`, `If-None-Match: abc`, true}, // as old apps write it
		{`abc`, `If-None-Match: "abc"`, false},
		{`"a-gzip"`, `If-None-Match: "a"`, false},

		// If-None-Match comes first.
		{`"a"`, `If-None-Match: "b"` + "\nIf-Modified-Since: " + modified, false},
		{`"a"`, `If-None-Match: "a"` + "\nIf-Modified-Since: Sun, 29 Nov 2020 10:00:00 GMT", true},
		{``, `If-None-Match: "b"` + "\nIf-Modified-Since: " + modified, false},

		{`"a"`, "If-Modified-Since: " + modified, true},
		{`"a"`, "If-Modified-Since: Sun, 29 Nov 2026 10:00:01 GMT", true},
		{`"a"`, "If-Modified-Since: Sun, 29 Nov 2026 09:59:59 GMT", false},
		{`"a"`, "If-Modified-Since: Sunday, 29-Nov-26 10:00:00 GMT", true},
		{`"a"`, "If-Modified-Since: yesterday", false},
		{`"a"`, "If-Modified-Since: " + modified + "\nIf-Modified-Since: " + modified, false},
		{`"a"`, "If-Modified-Since: 0", false},
	} {
		fields := "Cache-Control: max-age=5\nLast-Modified: " + modified
		if c.etag != "" {
			fields += "\nETag: " + c.etag
		}
		e := entryOf(t, &strict, fields, "x", start)
		if got := e.Unchanged(fieldsOf(t, c.request)); got != c.want {
			t.Errorf("ETag %s, %s: %v", c.etag, c.request, got)
		}
	}
	e := entryOf(t, &strict, "Cache-Control: max-age=5", "x", start)
	if e.Unchanged(fieldsOf(t, "If-Modified-Since: "+modified)) {
		t.Error("without Last-Modified, it is unchanged since then")
	}
	e = entryOf(t, &strict, "Cache-Control: max-age=5\nLast-Modified: 0", "x", start)
	if e.Unchanged(fieldsOf(t, "If-Modified-Since: 0")) {
		t.Error("an equal time that can't be read counts")
	}
	e.status = 404
	if e.Unchanged(fieldsOf(t, "If-None-Match: *")) {
		t.Error("a 404 is unchanged")
	}
}

// lines splits a head into a set of its lines.
func lines(head []byte) map[string]bool {
	set := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(head), "\r\n"), "\r\n") {
		set[line] = true
	}
	return set
}

// TestHeads: what of a response is stored, and what of that a 304 has.
func TestHeads(t *testing.T) {
	short := []string{
		"Cache-Control: max-age=5, no-cache=\"x-secret\"", "Content-Location: /here", "Date: " + dated(0), `ETag: "a"`,
		"Expires: " + dated(time.Minute), "Vary: Accept",
	}
	long := []string{
		"Content-Type: text/html", "Last-Modified: " + dated(-time.Hour), "X-Two: 1", "X-Two: 2", "Link: </a>",
		`Cache-Groups: "g"`,
	}
	out := []string{
		"Age: 1", "Connection: close", "Keep-Alive: timeout=5", "Transfer-Encoding: chunked", "Trailer: x", "Upgrade: h2c",
		"Content-Length: 99", "Proxy-Authenticate: Basic", "X-Accel-Expires: 5", "X-Accel-Limit-Rate: 5", "X-Secret: 1",
		"Set-Cookie: a=b", "Set-Cookie2: a=b",
	}
	p := strict
	p.WithoutCookies = true
	e := entryOf(t, &p, strings.Join(out, "\n")+"\n"+strings.Join(long, "\n")+"\n"+strings.Join(short, "\n"), "body", start)
	head, unmodified := lines(e.AppendHead(nil)), lines(e.AppendNotModified(nil))
	if !head["HTTP/1.1 200 OK"] || !unmodified["HTTP/1.1 304 Not Modified"] || !head["Content-Length: 4"] || unmodified["Content-Length: 4"] {
		t.Errorf("%q\n%q", e.AppendHead(nil), e.AppendNotModified(nil))
	}
	for _, line := range short {
		if !head[line] || !unmodified[line] {
			t.Errorf("%s: stored %v, in a 304 %v", line, head[line], unmodified[line])
		}
	}
	for _, line := range long {
		if !head[line] || unmodified[line] {
			t.Errorf("%s: stored %v, in a 304 %v", line, head[line], unmodified[line])
		}
	}
	for _, line := range out {
		if head[line] {
			t.Errorf("%s: stored", line)
		}
	}
	if n := strings.Count(string(e.AppendHead(nil)), "X-Two: 1\r\nX-Two: 2\r\n"); n != 1 {
		t.Error("lines of one name are not in their order")
	}

	e = entryOf(t, &strict, "Cache-Control: max-age=5\nLast-Modified: "+dated(-time.Hour), "", start)
	if head = lines(e.AppendNotModified(nil)); !head["Last-Modified: "+dated(-time.Hour)] || !head["Date: "+dated(0)] {
		t.Errorf("without ETag and Date a 304 has %q", e.AppendNotModified(nil))
	}
}

// TestOwnETag: a response without validators is given one, by its body, and the app never hears of it.
func TestOwnETag(t *testing.T) {
	p := Policy{Fresh: time.Minute, ETag: true}
	a, b, c := entryOf(t, &p, "X: 1", "one", start), entryOf(t, &p, "X: 2", "one", start), entryOf(t, &p, "", "two", start)
	if len(a.etag) != 22 || string(a.etag) != string(b.etag) || string(a.etag) == string(c.etag) {
		t.Errorf("tags %s, %s and %s", a.etag, b.etag, c.etag)
	}
	if !lines(a.AppendNotModified(nil))["ETag: "+string(a.etag)] || !a.Unchanged(fieldsOf(t, "If-None-Match: "+string(b.etag))) {
		t.Error("the tag is not in the 304, or not compared")
	}
	if a.HasConditions() || len(a.AppendConditions(nil)) != 0 {
		t.Errorf("the app is asked %q", a.AppendConditions(nil))
	}
	if e := entryOf(t, &p, `ETag: "app"`, "one", start); string(e.etag) != `"app"` || !e.HasConditions() {
		t.Errorf("tag %s of the app", e.etag)
	}
	if e := entryOf(t, &p, "Last-Modified: "+dated(-time.Hour), "one", start); len(e.etag) != 0 {
		t.Errorf("tag %s beside Last-Modified", e.etag)
	}
	again, v := a.Refresh(&p, requestOf(t, "/", ""), fieldsOf(t, "X: 3"), start)
	if v.Reason != None || string(again.etag) != string(a.etag) || strings.Count(string(again.fields), "ETag") != 1 {
		t.Errorf("refreshed: %v, %q", v.Reason, again.fields)
	}
}

func TestAppendConditions(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{`ETag: W/"a"`, "If-None-Match: W/\"a\"\r\n"},
		{"Last-Modified: " + dated(-time.Hour), "If-Modified-Since: " + dated(-time.Hour) + "\r\n"},
		{"ETag: \"a\"\nLast-Modified: " + dated(-time.Hour), "If-None-Match: \"a\"\r\nIf-Modified-Since: " + dated(-time.Hour) + "\r\n"},
		{"", ""},
	} {
		e := entryOf(t, &strict, "Cache-Control: max-age=5\n"+c.fields, "", start)
		if got := string(e.AppendConditions(nil)); got != c.want || e.HasConditions() != (c.want != "") {
			t.Errorf("%s: %q", c.fields, got)
		}
	}
	for _, name := range []string{"If-None-Match", "if-modified-since"} {
		if !IsCondition([]byte(name)) {
			t.Errorf("%s is no condition", name)
		}
	}
	if IsCondition([]byte("if-unmodified-since")) || IsCondition([]byte("if-range")) {
		t.Error("others are conditions")
	}
}

// TestRefresh: what a 304 of the app changes in an entry, and when it is not about that.
func TestRefresh(t *testing.T) {
	stored := "ETag: \"a\"\nDate: " + dated(0) + "\nContent-Type: text/html\nContent-Encoding: gzip\nX-Old: 1\nX-Old: 2\n" +
		"Cache-Control: max-age=5\nVary: Accept-Encoding"
	later := start.Add(time.Minute)
	for _, c := range []struct{ name, fields, reason, has, not string }{
		{"nothing else", `ETag: "a"`, "none", "X-Old: 1\nX-Old: 2\nContent-Type: text/html\nContent-Length: 4", ""},
		{"weakly", `ETag: W/"a"`, "none", `ETag: W/"a"`, `ETag: "a"`},
		{"no validator", "Cache-Control: max-age=9", "none", "Cache-Control: max-age=9\n" + `ETag: "a"`, "Cache-Control: max-age=5"},
		{"another", `ETag: "b"`, "mismatch", "", ""},
		{"two", "ETag: \"a\"\nETag: \"a\"", "mismatch", "", ""},
		{"a new time", "Date: " + dated(time.Minute), "none", "Date: " + dated(time.Minute), "Date: " + dated(0)},
		{"all lines of a name", "X-Old: 3", "none", "X-Old: 3", "X-Old: 1\nX-Old: 2"},
		{"a new field", "X-New: 1", "none", "X-New: 1\nX-Old: 1", ""},
		{"the type", "Content-Type: text/plain", "none", "Content-Type: text/plain", "Content-Type: text/html"},
		{"never how the body is to be read", "Content-Length: 0\nContent-Encoding: br\nContent-Range: bytes 0-1/2", "none",
			"Content-Length: 4\nContent-Encoding: gzip", "Content-Length: 0\nContent-Encoding: br\nContent-Range: bytes 0-1/2"},
		{"it is private now", "Cache-Control: private", "private", "", ""},
		{"it sets a cookie", "Set-Cookie: a=b", "set_cookie", "", ""},
		{"it varies by all", "Vary: *", "vary", "", ""},
	} {
		e := entryOf(t, &strict, stored, "body", start)
		again, v := e.Refresh(&strict, requestOf(t, "/", ""), fieldsOf(t, c.fields), later)
		if v.Reason.String() != c.reason || (again == nil) != (c.reason != "none") {
			t.Errorf("%s: %v", c.name, v.Reason)
			continue
		}
		if again == nil {
			continue
		}
		head := lines(again.AppendHead(nil))
		for line := range strings.SplitSeq(c.has, "\n") {
			if line != "" && !head[line] {
				t.Errorf("%s: %s is missing", c.name, line)
			}
		}
		for line := range strings.SplitSeq(c.not, "\n") {
			if line != "" && head[line] {
				t.Errorf("%s: %s is there", c.name, line)
			}
		}
		if string(again.Body()) != "body" || !again.IsFresh(later) || e.IsFresh(later) || again.Age(later) != 0 {
			t.Errorf("%s: body %q, age %v", c.name, again.Body(), again.Age(later))
		}
	}
	e := entryOf(t, &strict, "Cache-Control: max-age=5\nLast-Modified: "+dated(-time.Hour), "body", start)
	for fields, want := range map[string]Reason{
		"": None, "Last-Modified: " + dated(-time.Hour): None, "Last-Modified: " + dated(-time.Minute): OtherThan, `ETag: "new"`: None,
	} {
		if _, v := e.Refresh(&strict, requestOf(t, "/", ""), fieldsOf(t, fields), later); v.Reason != want {
			t.Errorf("by time, a 304 with %q: %v; want %v", fields, v.Reason, want)
		}
	}
}

// TestAge: what an entry's age is counted from, and that a clock that is set back makes it stale.
func TestAge(t *testing.T) {
	e := entryOf(t, &strict, "Cache-Control: max-age=60, stale-while-revalidate=10, stale-if-error=20\nAge: 5\nETag: \"a\"", "", start)
	for _, c := range []struct {
		after           time.Duration
		age             string
		ttl             int64
		fresh, up, fail bool
	}{
		{0, "5", 55, true, true, true},
		{500 * time.Millisecond, "5", 54, true, true, true},
		{54*time.Second + 999*time.Millisecond, "59", 0, true, true, true},
		{55 * time.Second, "60", 0, false, true, true},
		{55*time.Second + time.Millisecond, "60", -1, false, true, true},
		{65 * time.Second, "70", -10, false, false, true},
		{75 * time.Second, "80", -20, false, false, false},
		{-4 * time.Second, "1", 59, true, true, true},
		{-14 * time.Second, "0", 60, true, true, true},
		{-16 * time.Second, "2147483648", -2147483648, false, false, false},
		{-1000 * time.Hour, "2147483648", -2147483648, false, false, false},
	} {
		now := start.Add(c.after)
		age := strings.TrimSpace(strings.TrimPrefix(string(e.AppendAge(nil, now)), "Age: "))
		if age != c.age || ttlSeconds(e.TTL(now)) != c.ttl || e.IsFresh(now) != c.fresh || e.MayUpdate(now) != c.up || e.MayFail(now) != c.fail {
			t.Errorf("after %v: age %s, ttl %d, fresh %v, may update %v, fail %v",
				c.after, age, ttlSeconds(e.TTL(now)), e.IsFresh(now), e.MayUpdate(now), e.MayFail(now))
		}
	}
}
