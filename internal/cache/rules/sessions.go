package rules

import (
	"bytes"
	"encoding/binary"
	"slices"

	"holdfast/internal/cache"
	"holdfast/internal/cookie"
	"holdfast/internal/http1"
)

var jsessionid = []byte(";jsessionid=")

// hasSession reports whether a request may be somebody's: it has a session cookie, a login, or a session in its path. If no
// session cookies are named, every cookie may be one.
func (rs *Set) hasSession(q *cache.Request) bool {
	if _, n := q.Field("authorization"); n > 0 || bytes.Contains(q.Path, jsessionid) {
		return true
	}
	c := cookie.Cookies{Fields: q.Fields}
	for name, _, ok := c.Next(); ok; name, _, ok = c.Next() {
		if len(rs.sessions) == 0 || rs.isSession(name) {
			return true
		}
	}
	return false
}

func (rs *Set) isSession(name []byte) bool {
	for _, wanted := range rs.sessions {
		if cookie.MayBe(wanted, name) {
			return true
		}
	}
	return false
}

// hasMany reports whether a request has more session cookies than are told apart.
func (rs *Set) hasMany(q *cache.Request) bool {
	n := 0
	c := cookie.Cookies{Fields: q.Fields}
	for name, _, ok := c.Next(); ok; name, _, ok = c.Next() {
		if rs.isSession(name) {
			n++
		}
	}
	return n > maxSessions
}

// Sessions returns the tags of the sessions that a request may belong to: one for each of its session cookies, and for its
// login. What one session cookie tells apart is invalidated by a request that has only another one of the same browser, as
// cookies differ by path; so a change is one of each of them.
func (rs *Set) Sessions(q *cache.Request) (list []cache.Tag) {
	add := func(wanted string, name, value []byte) {
		credential := cookie.Credential(wanted, name, value)
		if t := rs.hasher.SessionTag(credential); credential != 0 && len(list) <= maxSessions && !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	c := cookie.Cookies{Fields: q.Fields}
	for name, v, ok := c.Next(); ok; name, v, ok = c.Next() {
		for _, wanted := range rs.sessions {
			if cookie.MayBe(wanted, name) {
				add(wanted, name, v)
			}
		}
	}
	for i := range q.Fields {
		if f := &q.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "authorization") {
			add("", []byte("authorization"), f.Value)
		}
	}
	if _, v, ok := bytes.Cut(q.Path, jsessionid); ok {
		if i := bytes.IndexAny(v, ";/"); i >= 0 {
			v = v[:i]
		}
		add("", []byte("JSESSIONID"), v)
	}
	return list
}

// SessionTag returns the tag of a session, by what cookie.Credential returns of its cookie.
func (rs *Set) SessionTag(credential uint64) cache.Tag { return rs.hasher.SessionTag(credential) }

// PassKey returns the key for Store.Due of a session's request, which has to go to the app once in Rule.Pass although the
// answer is everybody's. ok is false if it has not: the rule does not say so, the key has the session anyway, or there is
// none.
func (r *Rule) PassKey(q *cache.Request) (k cache.Key, ok bool) {
	if r.Pass <= 0 || r.session || !r.rules.hasSession(q) {
		return k, false
	}
	var room [cache.KeyRoom]byte
	b := append(r.rules.hasher.Start(room[:0]), 'd', 0)
	b = append(append(b, r.Name...), 0)
	for _, wanted := range r.rules.sessions {
		b = appendCookies(b, q, wanted)
	}
	if len(r.rules.sessions) == 0 {
		b = appendCookies(b, q, "*")
	}
	for i := range q.Fields {
		if f := &q.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "authorization") {
			b = cache.AppendPart(b, 'a', f.Value)
		}
	}
	if _, v, found := bytes.Cut(q.Path, jsessionid); found {
		b = cache.AppendPart(b, 'j', v)
	}
	return cache.Sum(b), true
}

// Seen returns the key and the place for a note that the sessions of a request have asked what its key stands for. Changes of
// the sessions do not end it, and it counts for the room of its own kind. ok is false if the request is of no session.
func (r *Rule) Seen(k cache.Key, q *cache.Request) (seen cache.Key, p *cache.Place, ok bool) {
	var tags []cache.Tag
	b := append(r.rules.hasher.Start(nil), 'n', 0)
	b = append(b, k[:]...)
	for _, t := range r.rules.Sessions(q) {
		tags = append(tags, r.rules.hasher.SeenTag(t))
		b = binary.BigEndian.AppendUint64(append(b, 's'), uint64(t))
	}
	if len(tags) == 0 {
		return k, nil, false
	}
	return cache.Sum(b), r.rules.hasher.NewPlace(r.Name, "", &cache.Request{}, nil, tags), true
}

// HasSessions reports whether a rule has the session in its key.
func (rs *Set) HasSessions() bool {
	return slices.ContainsFunc(rs.rules, func(r *Rule) bool { return r.session })
}

// SetsSession reports whether a response sets or clears a session cookie.
func (rs *Set) SetsSession(response []http1.Field) bool {
	for i := range response {
		if f := &response[i]; http1.EqualFold(f.Name, "set-cookie") {
			name, _, _ := bytes.Cut(f.Value, []byte("="))
			if rs.isSession(http1.TrimOWS(name)) {
				return true
			}
		}
	}
	return false
}
