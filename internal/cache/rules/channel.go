package rules

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/cache"
	"holdfast/internal/cookie"
	"holdfast/internal/http1"
)

// piece is a part of a channel's template: text, or what stands for it in a request.
type piece struct {
	text string
	part part // of text that is empty
}

// maxChannel is the longest name of a channel, in bytes.
const maxChannel = 255

// parseTemplate reads Channel: text with {query.NAME}, {cookie.NAME} and {header.NAME}, which have to be parts of the key, as
// requests that share an answer share its channel.
func (r *Rule) parseTemplate() error {
	for rest := r.Channel; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if text != "" {
			r.template = append(r.template, piece{text: text})
		}
		if !found {
			return nil
		}
		name, after, found := strings.Cut(after, "}")
		kind, name, named := strings.Cut(name, ".")
		p := part{name: name}
		if len(kind) > 0 {
			p.kind = kind[0]
		}
		if kind == "header" {
			p.name = strings.ToLower(name)
		}
		if !found || !named || kind != "query" && kind != "cookie" && kind != "header" {
			return fmt.Errorf("%q: want text with {query.NAME}, {cookie.NAME} or {header.NAME}", r.Channel)
		}
		if !r.keyHas(p) {
			return fmt.Errorf("%q: %s.%s is not among the parts of key", r.Channel, kind, name)
		}
		r.template = append(r.template, piece{part: p})
		rest = after
	}
	return nil
}

// keyHas reports whether requests with the same key have the same value of a part.
func (r *Rule) keyHas(p part) bool {
	i := slices.IndexFunc(r.parts, func(o part) bool {
		return o.kind == p.kind && http1.EqualFold([]byte(o.name), p.name)
	})
	if p.kind == 'q' && r.query == allQuery {
		return i < 0 && isPlainName([]byte(p.name))
	}
	return i >= 0
}

// IsPublic reports whether the name of the channel has nothing of a request but values of its query. A page's scripts may
// not see its cookies.
func (r *Rule) IsPublic() bool {
	return !slices.ContainsFunc(r.template, func(p piece) bool { return p.text == "" && p.part.kind != 'q' })
}

// ambiguous reports whether a value that the channel has comes twice: which one the app takes cannot be known.
func (r *Rule) ambiguous(q *cache.Request) bool {
	for i := range r.template {
		p := &r.template[i]
		if p.text != "" {
			continue
		}
		if _, n := p.part.of(q); n > 1 {
			return true
		}
		if query, _ := q.Query(); p.part.kind == 'q' && !r.isPlain(query) {
			return true
		}
	}
	return false
}

// of returns the first value of a part, as it came, and how many there are.
func (p *part) of(q *cache.Request) (first []byte, n int) {
	switch p.kind {
	case 'h':
		return q.Field(p.name)
	case 'c':
		c := cookie.Cookies{Fields: q.Fields}
		for name, v, ok := c.Next(); ok; name, v, ok = c.Next() {
			if cookie.MayBe(p.name, name) {
				if n == 0 {
					first = v
				}
				n++
			}
		}
		return first, n
	}
	query, _ := q.Query()
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if name, v, _ := bytes.Cut(pair, []byte("=")); http1.EqualFold(name, p.name) {
			if n == 0 {
				first = v
			}
			n++
		}
	}
	return first, n
}

// channel returns the channel of a request; empty: none, as a value is missing or no part of a name.
func (r *Rule) channel(q *cache.Request) string {
	var b []byte
	for i := range r.template {
		p := &r.template[i]
		if p.text != "" {
			b = append(b, p.text...)
			continue
		}
		v, _ := p.part.of(q)
		if p.part.kind != 'h' {
			v = decoded(v)
		}
		if len(v) == 0 {
			return ""
		}
		for _, c := range v {
			switch {
			case c < ' ' || c == 0x7f:
				return ""
			case http1.IsDashed[c] || strings.IndexByte("_:@/=+~", c) >= 0:
				b = append(b, c)
			default: // as {user} of a rule's pattern, and a dot too, which separates segments
				b = fmt.Appendf(b, "%%%02X", c)
			}
		}
	}
	if len(b) > maxChannel {
		return ""
	}
	return string(b)
}

// decoded returns a value of a query without its encoding; what is no escape is as it is.
func decoded(v []byte) []byte {
	if !bytes.ContainsAny(v, "%+") {
		return v
	}
	b := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(v) && http1.IsHex(v[i+1]) && http1.IsHex(v[i+2]):
			b = append(b, http1.HexValue(v[i+1])<<4|http1.HexValue(v[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return b
}
