package inject

import "holdfast/internal/http1"

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
	off    bool   // the response can't be a page
	isHead bool   // of a request with HEAD
	known  []byte // entity tags that the client has, of which one may be ours
	filter *Filter
	buf    []byte

	peeked bool   // first went through the filter before Append: buf and err are of it
	first  []byte // see Peek
	whole  bool   // all of the body was given
	err    error
}

// Request changes the head of a request as Rule.Request does. It may be called again for another copy of the head.
func (p *Page) Request(h *http1.Head) {
	if p == nil {
		return
	}
	p.isHead, p.known = string(h.Method) == "HEAD", p.known[:0]
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "if-none-match") {
			p.known = append(p.known, f.Value...)
		}
	}
	p.off = p.rule.Request(h) != ""
}

// Peek shows what of a body came with the head, before Head. If the body has a length, and not -1, and the place of the tag is in
// this, then the page's length is known. It is to go through Append all the same, as the first piece.
func (p *Page) Peek(first []byte, length int64) {
	if p != nil && length >= 0 {
		n := min(int64(len(first)), length)
		p.peeked, p.first, p.whole = true, first[:n], n == length
	}
}

// Head looks at the head of the response. It reports whether the body goes through Append, and its length is not known.
func (p *Page) Head(a *http1.Answer) bool {
	switch {
	case p == nil || p.off:
		return false
	case a.Status == 304:
		p.rule.weakenKnown(a, p.known)
		return false
	}
	var why Reason
	if p.filter, why = p.rule.Decide(a, p.origin); p.filter == nil {
		p.note(why)
		return false
	}
	if p.isHead { // of the page, whose length is not known
		p.filter.Adjust(a, -1)
		p.filter, p.off = nil, true
		return false
	}
	length := int64(-1)
	if p.peeked {
		p.buf, p.err = p.filter.Append(p.buf[:0], p.first, p.whole)
		length = p.filter.Length(a.Length)
	}
	p.filter.Adjust(a, length)
	return a.Length < 0
}

// note tells of a response that the operator might take for a page.
func (p *Page) note(why Reason) {
	if p.rules.Noted != nil && why != Status && why != Type && why != Present && why != "" {
		p.rules.Noted(p.match, why)
	}
}

// Append returns what the client gets for a piece of the body, valid until the next call. last says that the body ends with
// it. While More, it is to be called once more without a piece. After an error the client must not take what it has for the whole.
func (p *Page) Append(piece []byte, last bool) ([]byte, error) {
	if p == nil || p.filter == nil || p.filter.Through() && !p.peeked {
		return piece, nil
	}
	b, err := p.buf, p.err
	if !p.peeked {
		b, err = p.filter.Append(p.buf[:0], piece, last || p.whole)
	}
	p.peeked, p.first, p.whole = false, nil, p.whole || last
	if p.whole && !p.filter.More() || p.filter.Through() {
		p.note(p.filter.Reason())
	}
	p.buf = append(b, "\r\n"...)[:len(b)] // room for what ends a chunk
	return p.buf, err
}

// More reports whether Append has more to return of what it was given. A part at a time keeps a page that grows a thousandfold
// from holding up others.
func (p *Page) More() bool { return p != nil && p.filter != nil && p.filter.More() }

// Close ends the page. It may be called more than once.
func (p *Page) Close() {
	if p != nil && p.filter != nil {
		p.filter.Close()
	}
}
