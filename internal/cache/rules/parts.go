package rules

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/cache"
	"holdfast/internal/cookie"
	"holdfast/internal/http1"
)

// part is one of the parts of a key that has a name.
type part struct {
	kind byte // c: a cookie, h: a header, q: a parameter of the query, b: a field of the body
	name string
	skip bool // of a parameter: it is left out
}

// queryMode is how much of the query a key has.
type queryMode uint8

const (
	noQuery   queryMode = iota
	someQuery           // parameters that are named
	allQuery            // but for those that are left out
)

const unknownPart = "%q is not known; want query, query.NAME, -query.NAME, session, cookie.NAME, header.NAME, body or -body.NAME"

// parseParts reads Parts:
//
//	query          the whole query, as it came
//	-query.NAME    without this parameter, as the _ that jQuery adds against caches
//	query.NAME     this parameter only, or several of these
//	session        the session cookies, and Authorization; without these, all cookies
//	cookie.NAME    this cookie; a trailing asterisk stands for any ending
//	header.NAME    this header
//	body           the body, with its Content-Type
//	-body.NAME     without this field, if the body is a form
func (r *Rule) parseParts() error {
	for _, text := range r.Parts {
		kind, name, named := strings.Cut(text, ".")
		switch {
		case text == "query":
			r.query = allQuery
		case text == "session":
			r.session = true
		case text == "body":
			r.body = true
		case !named || name == "":
			return fmt.Errorf(unknownPart, text)
		case kind == "query":
			r.query = max(r.query, someQuery)
			r.parts = append(r.parts, part{kind: 'q', name: name})
		case kind == "-query":
			r.parts = append(r.parts, part{kind: 'q', name: name, skip: true})
		case kind == "-body":
			r.skips, r.parts = true, append(r.parts, part{kind: 'b', name: name, skip: true})
		case kind == "cookie":
			r.parts = append(r.parts, part{kind: 'c', name: name})
		case kind == "header":
			lower := strings.ToLower(name)
			if slices.Contains(http1.ForwardingNames[:], lower) || lower == "cookie" || lower == "authorization" {
				return fmt.Errorf("%q: the app is told of clients by other means; cookie.NAME and session are for logins", text)
			}
			r.parts = append(r.parts, part{kind: 'h', name: lower})
		default:
			return fmt.Errorf(unknownPart, text)
		}
	}
	for _, p := range r.parts {
		if p.kind == 'q' && (p.skip != (r.query == allQuery)) {
			return errors.New("-query.NAME goes with query, and query.NAME without it")
		}
		if p.kind == 'q' && !isPlainName([]byte(p.name)) {
			return fmt.Errorf("query.%s: want letters, digits, _, ~ and - only", p.name)
		}
		if p.kind == 'b' && !r.body {
			return fmt.Errorf("-body.%s goes with body", p.name)
		}
	}
	return nil
}

// appendParts adds the parts of the key to what is hashed.
func (r *Rule) appendParts(b []byte, q *cache.Request) []byte {
	b = r.appendQuery(b, q)
	for i := range r.parts {
		switch p := &r.parts[i]; p.kind {
		case 'h':
			b = append(append(append(b, 'h'), p.name...), 0)
			for j := range q.Fields {
				if f := &q.Fields[j]; !f.Drop && http1.EqualFold(f.Name, p.name) {
					b = cache.AppendPart(b, 'v', f.Value)
				}
			}
		case 'c':
			b = append(append(append(b, 'c'), p.name...), 0)
			b = appendCookies(b, q, p.name)
		}
	}
	if r.session && !r.rules.hasSession(q) { // a cookie that nobody has named may be a login too
		for i := range q.Fields {
			if f := &q.Fields[i]; cookie.IsField(f) {
				b = cache.AppendPart(b, 'l', f.Value)
			}
		}
	}
	if r.session {
		for _, name := range r.rules.sessions {
			b = append(append(append(b, 's'), name...), 0)
			b = appendCookies(b, q, name)
		}
		for i := range q.Fields {
			if f := &q.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "authorization") {
				b = cache.AppendPart(b, 'a', f.Value)
			}
		}
	}
	if r.body && q.HasBody {
		for i := range q.Fields {
			if f := &q.Fields[i]; !f.Drop && (http1.EqualFold(f.Name, "content-type") || http1.EqualFold(f.Name, "content-encoding")) {
				b = cache.AppendPart(b, 't', f.Name[8:9])
				b = cache.AppendPart(b, 'v', f.Value)
			}
		}
		b = r.appendBody(b, q)
	}
	return b
}

// appendCookies adds the cookies that an app may read as the wanted one, in the order in which they came. Lines that apps
// read in their own ways count whole.
func appendCookies(b []byte, q *cache.Request, wanted string) []byte {
	for i := range q.Fields {
		if f := &q.Fields[i]; cookie.IsField(f) && !cookie.IsPlain(f.Value) {
			b = cache.AppendPart(b, 'l', f.Value)
		}
	}
	c := cookie.Cookies{Fields: q.Fields}
	for name, v, ok := c.Next(); ok; name, v, ok = c.Next() {
		if cookie.MayBe(wanted, name) {
			b = cache.AppendPart(b, 'n', name)
			b = cache.AppendPart(b, 'v', v)
		}
	}
	return b
}

// appendQuery adds the query, or the parameters of it that count. If an app could read another parameter as one of these,
// because its name is encoded or has other bytes that frameworks change, or if it could be a session, all of it counts.
func (r *Rule) appendQuery(b []byte, q *cache.Request) []byte {
	query, asked := q.Query()
	if !asked {
		return append(b, 'Q')
	}
	if !r.selects(query) {
		return cache.AppendPart(b, 'q', query)
	}
	b = append(b, 'P')
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if r.counts(pair) {
			b = cache.AppendPart(b, 'v', pair)
		}
	}
	return b
}

// Asked returns what is the same question as a target for the rules that may be about it, if that is not the target itself.
func (rs *Set) Asked(target string) (list []string) {
	path, _, _ := strings.Cut(target, "?")
	q := cache.Request{Target: []byte(target), Path: []byte(path)}
	for _, r := range rs.rules {
		match := strings.TrimRight(r.Match, "/")
		if asked := string(r.asked(&q)); asked != "" && (path == match || strings.HasPrefix(path, match+"/")) && !slices.Contains(list, asked) {
			list = append(list, asked)
		}
	}
	return list
}

// selects reports whether the key has some of a query's parameters only.
func (r *Rule) selects(query []byte) bool {
	named := slices.ContainsFunc(r.parts, func(p part) bool { return p.kind == 'q' })
	return (r.query != allQuery || named) && r.isPlain(query)
}

// counts reports whether the key has a parameter of the query.
func (r *Rule) counts(pair []byte) bool {
	name, _, _ := bytes.Cut(pair, []byte("="))
	for i := range r.parts {
		if p := &r.parts[i]; p.kind == 'q' && http1.EqualFold(name, p.name) {
			return !p.skip
		}
	}
	return r.query == allQuery
}

// asked returns a request's target without the parameters that the key does not have; nil: it has all. Who changes one of the
// URLs that are the same question changes the response to all.
func (r *Rule) asked(q *cache.Request) []byte {
	query, ok := q.Query()
	if !ok || !r.selects(query) {
		return nil
	}
	target, all := append([]byte(nil), q.Path...), true
	separator := byte('?')
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if !r.counts(pair) {
			all = false
			continue
		}
		target = append(append(target, separator), pair...)
		separator = '&'
	}
	if all {
		return nil
	}
	return target
}

// isPlain reports whether the names in a query mean the same to every app, and none is a session's.
func (r *Rule) isPlain(query []byte) bool {
	if bytes.IndexByte(query, ';') >= 0 {
		return false
	}
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		name, _, _ := bytes.Cut(pair, []byte("="))
		if !isPlainName(name) {
			return false
		}
		for _, s := range r.rules.sessions {
			if cookie.MayBe(s, name) {
				return false
			}
		}
	}
	return true
}

func isPlainName(name []byte) bool {
	for _, c := range name {
		if !http1.IsDashed[c] && c != '_' && c != '~' {
			return false
		}
	}
	return true
}
