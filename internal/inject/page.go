package inject

import (
	"errors"

	"holdfast/internal/http1"
)

// Rules say which pages get which tag. The first that matches a path counts.
type Rules struct {
	table http1.PathTable
	rules []*Rule

	// Noted is told of responses that might be pages and do not get the tag; nil: nobody is. It is called on event loops.
	Noted func(match string, why Reason)
}

// Add adds a rule for the pages at and below a path.
func (rs *Rules) Add(match string, r *Rule) {
	rs.table = append(rs.table, http1.PathEntry{Path: match})
	rs.rules = append(rs.rules, r)
}

// Page returns the page that a request from an origin may be for, or nil. A nil Rules has none.
func (rs *Rules) Page(h *http1.Head, scheme string, host []byte) *Page {
	if rs == nil {
		return nil
	}
	i, refusal := rs.table.Find(h.Path)
	if refusal != nil || i == len(rs.rules) {
		return nil
	}
	return &Page{rules: rs, rule: rs.rules[i], match: rs.table[i].Path, origin: Origin{Scheme: scheme, Host: string(host)}}
}

// Page is one request's response, which gets the tag if it is a page. A nil Page is none.
type Page struct {
	rules  *Rules
	rule   *Rule
	match  string
	origin Origin
	off    bool // the response can't be a page
	filter *Filter
	buf    []byte
}

// Request changes the head of a request as Rule.Request does. It may be called again for another copy of the head.
func (p *Page) Request(h *http1.Head) {
	if p != nil {
		p.off = p.rule.Request(h) != ""
	}
}

// Head looks at the head of the response. It reports whether the body goes through Append, and its length is not known.
func (p *Page) Head(a *http1.Answer) bool {
	switch {
	case p == nil || p.off:
		return false
	case a.Status == 304:
		p.rule.Weaken(a)
		return false
	}
	var why Reason
	if p.filter, why = p.rule.Decide(a, p.origin); p.filter == nil {
		p.note(why)
		return false
	}
	p.filter.Adjust(a, -1)
	return true
}

// note tells of a response that the operator might take for a page.
func (p *Page) note(why Reason) {
	if p.rules.Noted != nil && why != Status && why != Type && why != Present && why != "" {
		p.rules.Noted(p.match, why)
	}
}

// maxPiece is how long a piece of a page may become that was compressed.
const maxPiece = 16 << 20

var errInflated = errors.New("inject: a compressed page is too large to be changed")

// Append returns what the client gets for a piece of the body, valid until the next call. last says that the body ends with
// it. After an error the client must not take what it has for the whole.
func (p *Page) Append(piece []byte, last bool) ([]byte, error) {
	if p == nil || p.filter == nil || p.filter.Through() {
		return piece, nil
	}
	b, err := p.filter.Append(p.buf[:0], piece, last)
	for err == nil && p.filter.More() {
		if len(b) > maxPiece {
			return b, errInflated
		}
		b, err = p.filter.Append(b, nil, last)
	}
	if last || p.filter.Through() {
		p.note(p.filter.Reason())
	}
	p.buf = append(b, "\r\n"...)[:len(b)] // room for what ends a chunk
	return p.buf, err
}

// Close ends the page. It may be called more than once.
func (p *Page) Close() {
	if p != nil && p.filter != nil {
		p.filter.Close()
	}
}
