package cache

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache/headers"
	"holdfast/internal/http1"
)

// parseLines returns the lines that are fields.
func parseLines(text string) (list []http1.Field) {
	for line := range strings.SplitSeq(text, "\n") {
		if f, fault := http1.ParseField([]byte(line)); fault == "" {
			list = append(list, f)
		}
	}
	return list
}

// FuzzJudge: whatever an app answers, what is kept has no cookie, no connection's fields and no time out of range, can be
// written and read again, and a word that forbids it is not missed.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		"Cache-Control: max-age=60, stale-while-revalidate=5\nETag: \"a\"\nVary: Accept, Cookie\nAge: 5",
		"CDN-Cache-Control: max-age=60;x, no-cache=\"a\"\nCache-Groups: \"a\", \"b\"\nSet-Cookie: a=b",
		"Expires: Thu, 18 Aug 2050 02:01:18 GMT\nDate: Thu, 18 Aug 2050 02:00:18 GMT\nLast-Modified: Thu, 18 Aug 2040 02:00:18 GMT",
		"X-Accel-Expires: @99999999999\nContent-Encoding: gzip\nAccess-Control-Allow-Origin: x\nConnection: close",
	} {
		f.Add(200, seed, "Accept: x\nCookie: a=b\nIf-None-Match: \"a\"")
	}
	policies := []Policy{
		strict, {Fresh: time.Minute, IgnoreApp: true, ETag: true}, {Fresh: time.Minute, Updating: time.Hour, Fail: time.Hour, WithoutCookies: true},
		{OwnSession: true, Heuristic: 0.5, HeuristicMost: time.Hour, Most: time.Minute},
	}
	f.Fuzz(func(t *testing.T, status int, response, request string) {
		q := requestOf(t, "/a", "")
		q.Fields = parseLines(request)
		r := Response{Status: status, Fields: parseLines(response)}
		for i := range policies {
			p := &policies[i]
			v := Judge(p, placeOf(q), q, r, start)
			if v.Reason != None {
				continue
			}
			if headers.Has(r.Fields, "set-cookie") && !p.WithoutCookies || status < 200 || status >= 500 || status == 206 || status == 304 {
				t.Fatalf("kept: %d, %q", status, response)
			}
			if v.Age < 0 || v.Age > longest || v.Fresh < 0 || v.Fresh > longest || v.Updating < 0 || v.Fail < 0 || v.Revalidate < 0 {
				t.Fatalf("%+v", v)
			}
			if d := headers.ParseDirectives(r.Fields); (d.NoStore && !d.MustUnderstand || d.Private) && !p.IgnoreApp && !p.OwnSession &&
				!headers.Has(r.Fields, "x-accel-expires") && !headers.Has(r.Fields, "cdn-cache-control") {
				t.Fatalf("kept in spite of its Cache-Control: %q", response)
			}
			e := NewEntry(&v, r, []byte("200 OK"), []byte("body"), start)
			for _, head := range [][]byte{e.AppendHead(nil), e.AppendNotModified(nil)} {
				_, fields, _ := bytes.Cut(head, []byte("\r\n"))
				for line := range bytes.SplitSeq(bytes.TrimSuffix(fields, []byte("\r\n")), []byte("\r\n")) {
					f, fault := http1.ParseField(line)
					if fault != "" || http1.EqualFold(f.Name, "set-cookie") || http1.EqualFold(f.Name, "connection") || http1.EqualFold(f.Name, "age") {
						t.Fatalf("stored is %q: %s", line, fault)
					}
				}
			}
			e.Unchanged(q.Fields)
			e.AppendAge(e.AppendHit(e.AppendConditions(nil), start), start)
			if again, w := e.Refresh(p, q, r.Fields, start); again != nil && (w.Fresh != v.Fresh || again.size() < entryCost) {
				t.Fatalf("refreshed by itself it is fresh for %v; want %v", w.Fresh, v.Fresh)
			}
		}
	})
}
