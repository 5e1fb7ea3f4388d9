// Package structured parses structured fields (RFC 9651), as far as the cache reads them: lists of strings, and dictionaries.
// It is strict (§4.2): whatever is not right makes the field void.
package structured

import "holdfast/internal/http1"

// Kind is the type of an item (RFC 9651 §3.3).
type Kind uint8

// The kinds.
const (
	Integer Kind = iota + 1
	Decimal
	String
	Token
	Bytes
	Boolean
	Date
	Display
	List // an inner list, whose items are checked and not kept
)

// Item is an item of a structured field, without its parameters.
type Item struct {
	Kind   Kind
	Text   []byte // of a string, without escapes, or a token
	Number int64  // of an integer or a date; of a boolean 1 if it is true
}

// parser goes through a field.
type parser struct {
	b []byte
	i int
}

// Strings parses a list of strings, whose parameters are ignored. It reports false if it is anything else.
func Strings(field []byte) (list []string, ok bool) {
	p := parser{b: field}
	p.skip(" ")
	for p.i < len(p.b) {
		v, ok := p.member()
		if !ok || v.Kind != String {
			return nil, false
		}
		list = append(list, string(v.Text))
		if !p.comma() {
			return nil, false
		}
	}
	return list, true
}

// Dictionary parses a dictionary and calls each with its members in order; of a key that comes twice the last counts. It
// reports false if the field is none, or each does for a member.
func Dictionary(field []byte, each func(key string, v Item) bool) bool {
	p := parser{b: field}
	p.skip(" ")
	for p.i < len(p.b) {
		key, ok := p.key()
		if !ok {
			return false
		}
		v := Item{Kind: Boolean, Number: 1}
		if p.take('=') {
			v, ok = p.member()
		} else {
			ok = p.parameters()
		}
		if !ok || !each(string(key), v) || !p.comma() {
			return false
		}
	}
	return true
}

func (p *parser) skip(set string) {
	for p.i < len(p.b) && (p.b[p.i] == set[0] || len(set) > 1 && p.b[p.i] == set[1]) {
		p.i++
	}
}

func (p *parser) take(c byte) bool {
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

// comma goes to the next member, or the end. A comma at the end is an error.
func (p *parser) comma() bool {
	p.skip(" \t")
	if p.i == len(p.b) {
		return true
	}
	if !p.take(',') {
		return false
	}
	p.skip(" \t")
	return p.i < len(p.b)
}

// member parses an item or an inner list, with its parameters.
func (p *parser) member() (v Item, ok bool) {
	if !p.take('(') {
		if v, ok = p.item(); ok {
			ok = p.parameters()
		}
		return v, ok
	}
	v.Kind = List
	for {
		p.skip(" ")
		if p.take(')') {
			return v, p.parameters()
		}
		if _, ok = p.item(); !ok || !p.parameters() {
			return v, false
		}
		if p.i == len(p.b) || p.b[p.i] != ' ' && p.b[p.i] != ')' {
			return v, false
		}
	}
}

func (p *parser) parameters() bool {
	for p.take(';') {
		p.skip(" ")
		if _, ok := p.key(); !ok {
			return false
		}
		if p.take('=') {
			if _, ok := p.item(); !ok {
				return false
			}
		}
	}
	return true
}

func (p *parser) key() ([]byte, bool) {
	from := p.i
	for p.i < len(p.b) {
		c := p.b[p.i]
		if c >= 'a' && c <= 'z' || c == '*' || p.i > from && (http1.IsDigit(c) || c == '_' || c == '-' || c == '.') {
			p.i++
			continue
		}
		break
	}
	return p.b[from:p.i], p.i > from
}

// item parses a bare item.
func (p *parser) item() (v Item, ok bool) {
	if p.i == len(p.b) {
		return v, false
	}
	switch c := p.b[p.i]; {
	case c == '-' || http1.IsDigit(c):
		return p.number()
	case c == '"':
		return p.text()
	case c == '*' || c|0x20 >= 'a' && c|0x20 <= 'z':
		from := p.i
		for p.i < len(p.b) && (http1.IsToken[p.b[p.i]] || p.b[p.i] == ':' || p.b[p.i] == '/') {
			p.i++
		}
		return Item{Kind: Token, Text: p.b[from:p.i]}, true
	case c == ':':
		return p.bytes()
	case c == '?':
		if p.i+1 == len(p.b) || p.b[p.i+1] != '0' && p.b[p.i+1] != '1' {
			return v, false
		}
		p.i += 2
		return Item{Kind: Boolean, Number: int64(p.b[p.i-1] - '0')}, true
	case c == '@':
		p.i++
		if v, ok = p.number(); v.Kind != Integer {
			return v, false
		}
		v.Kind = Date
		return v, ok
	case c == '%':
		return p.display()
	}
	return v, false
}

// number parses an integer of up to 15 digits, or a decimal of up to 12 and 3.
func (p *parser) number() (v Item, ok bool) {
	v.Kind = Integer
	negative := p.take('-')
	digits, point := 0, -1
	for ; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case http1.IsDigit(c):
			if v.Kind == Integer {
				v.Number = v.Number*10 + int64(c-'0')
			}
			if digits++; digits > 15 {
				return v, false
			}
			continue
		case c == '.' && v.Kind == Integer && digits > 0 && digits <= 12:
			v.Kind, point = Decimal, digits
			continue
		}
		break
	}
	if v.Kind == Decimal && (digits == point || digits > point+3) {
		return v, false
	}
	if negative {
		v.Number = -v.Number
	}
	return v, digits > 0
}

// text parses a string. Its content is a copy only if something in it is escaped.
func (p *parser) text() (v Item, ok bool) {
	p.i++
	from, escaped := p.i, false
	for ; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '"':
			v = Item{Kind: String, Text: p.b[from:p.i]}
			if p.i++; escaped {
				v.Text = unescape(v.Text)
			}
			return v, true
		case c == '\\':
			if p.i++; p.i == len(p.b) || p.b[p.i] != '"' && p.b[p.i] != '\\' {
				return v, false
			}
			escaped = true
		case c < ' ' || c > '~':
			return v, false
		}
	}
	return v, false
}

func unescape(b []byte) []byte {
	c := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		c = append(c, b[i])
	}
	return c
}

// bytes parses a byte sequence, whose content is only checked.
func (p *parser) bytes() (v Item, ok bool) {
	for p.i++; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == ':':
			p.i++
			return Item{Kind: Bytes}, true
		case !http1.IsDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '+' && c != '/' && c != '=':
			return v, false
		}
	}
	return v, false
}

// display parses a display string, whose content is only checked.
func (p *parser) display() (v Item, ok bool) {
	if p.i++; !p.take('"') {
		return v, false
	}
	for ; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return Item{Kind: Display}, true
		case c == '%':
			if p.i+2 >= len(p.b) || !isLowerHex(p.b[p.i+1]) || !isLowerHex(p.b[p.i+2]) {
				return v, false
			}
			p.i += 2
		case c < ' ' || c > '~':
			return v, false
		}
	}
	return v, false
}

func isLowerHex(c byte) bool { return http1.IsDigit(c) || c >= 'a' && c <= 'f' }
