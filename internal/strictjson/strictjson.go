// Package strictjson reads JSON that decides something: what to publish, who may subscribe, what a client wants. Two
// parsers must not read such a text in two ways, so it refuses what others guess at: a key that comes twice, bytes that
// are not UTF-8, halves of characters (\ud800), anything behind the value, and nesting deeper than [MaxDepth]. Whoever reads members says which keys
// it knows. A byte order mark in front is skipped, as editors put one there unseen and it can be read in one way only.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested: what PHP's json_decode reads unless it is told otherwise.
const MaxDepth = 512

// Error is what all errors of this package are, but for those that a caller's function returns.
var Error = errors.New("bad JSON")

var (
	errKind = fmt.Errorf("%w: wrong type of value", Error)
	errHalf = fmt.Errorf("%w: half of a character: \\ud800 to \\udfff come in pairs", Error)
)

// bom is a byte order mark in UTF-8.
var bom = []byte("\ufeff")

// Value is one valid value and where it was found. The zero Value is none.
type Value struct {
	raw    []byte // without space around it
	body   []byte // what it was found in
	offset int    // of raw in body
}

// Raw returns the value's text, without space around it. It is a part of the body: clone what must outlive that.
func (v Value) Raw() []byte { return v.raw }

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { return len(v.raw) > 0 && v.raw[0] == '{' }

// IsString reports whether the value is a string.
func (v Value) IsString() bool { return len(v.raw) > 0 && v.raw[0] == '"' }

// At returns err with the line and the offset of the value.
func (v Value) At(err error) error { return failAt(v.body, v.offset, err) }

func failAt(body []byte, offset int, err error) error {
	return fmt.Errorf("line %d, offset %d: %w", 1+bytes.Count(body[:offset], []byte{'\n'}), offset, err)
}

// Split returns the values of a body that is one value, an array of values, or one value a line.
// An array's elements are returned; array says that it was one. room is empty, and is used if it is large enough.
func Split(body []byte, room []Value) (values []Value, array bool, err error) {
	values, err = lines(body, room)
	if err != nil || len(values) != 1 || values[0].raw[0] != '[' {
		return values, false, err
	}
	values, err = values[0].Elements()
	return values, true, err
}

// One returns the one value that is the body.
func One(body []byte) (v Value, err error) {
	var room [1]Value
	values, err := lines(body, room[:0])
	switch {
	case err != nil:
		return v, err
	case len(values) != 1:
		return v, fmt.Errorf("%w: want one value, not %d", Error, len(values))
	}
	return values[0], nil
}

// Object returns the one object that is the body.
func Object(body []byte) (v Value, err error) {
	var room [1]Value
	values, err := lines(body, room[:0])
	if err == nil && (len(values) != 1 || !values[0].IsObject()) {
		err = fmt.Errorf("%w: want one object", Error)
	}
	if err != nil {
		return v, err
	}
	return values[0], nil
}

// lines returns the values of a body, each on lines of its own, in room if that is large enough.
func lines(body []byte, room []Value) (values []Value, err error) {
	if err := check(body); err != nil {
		return nil, err
	}
	skipped := 0
	if bytes.HasPrefix(body, bom) {
		skipped = len(bom)
	}
	if values, ok := scanLines(room, body, skipped); ok {
		return values, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body[skipped:]))
	for {
		v, err := next(dec, body, skipped)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		if n := len(values); n > 0 {
			before := values[n-1]
			if bytes.IndexByte(body[before.offset+len(before.raw):v.offset], '\n') < 0 {
				return nil, v.At(fmt.Errorf("%w: more than one value on a line", Error))
			}
		}
		values = append(values, v)
	}
}

// check refuses a body that is not UTF-8 or is nested too deep.
func check(body []byte) error {
	if bad := invalidUTF8(body); bad >= 0 {
		return failAt(body, bad, fmt.Errorf("%w: not UTF-8", Error))
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			if depth++; depth > MaxDepth {
				return failAt(body, i, fmt.Errorf("%w: arrays and objects nested more than %d deep", Error, MaxDepth))
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return nil
}

// next decodes the next value; io.EOF alone says that there is none. The decoder reads from base in body.
func next(dec *json.Decoder, body []byte, base int) (v Value, err error) {
	var raw json.RawMessage
	err = dec.Decode(&raw)
	end := base + int(dec.InputOffset())
	if err == nil {
		return Value{raw, body, end - len(raw)}, nil
	}
	if errors.Is(err, io.EOF) {
		return v, io.EOF
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		end = base + int(syntax.Offset) - 1
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		end = len(body)
		err = errors.New("unexpected end")
	}
	return v, failAt(body, min(max(end, 0), len(body)), fmt.Errorf("%w: %w", Error, err))
}

// Elements returns the elements of an array.
func (v Value) Elements() (list []Value, err error) {
	err = v.each(func(e Value) error {
		list = append(list, e)
		return nil
	})
	return list, err
}

// each calls f for every element of an array, up to the first error.
func (v Value) each(f func(Value) error) error {
	if len(v.raw) == 0 || v.raw[0] != '[' {
		return fmt.Errorf("%w; want an array", errKind)
	}
	for i := skipSpace(v.raw, 1); i < len(v.raw) && v.raw[i] != ']'; {
		end := scan(v.raw, i, MaxDepth)
		if end < 0 {
			return v.At(Error) // the array was checked, so this does not happen
		}
		if err := f(Value{v.raw[i:end:end], v.body, v.offset + i}); err != nil {
			return err
		}
		if i = skipSpace(v.raw, end); i < len(v.raw) && v.raw[i] == ',' {
			i = skipSpace(v.raw, i+1)
		}
	}
	return nil
}

// Text returns the text of a string. It refuses half of a surrogate pair: others read one as another character, or as
// none, and then two names would be one.
func (v Value) Text() (s string, err error) {
	if !v.IsString() {
		return "", fmt.Errorf("%w; want a string", errKind)
	}
	if hasHalf(v.raw) {
		return "", errHalf
	}
	return text(v.raw), nil
}

// Bytes is Text for data, as bytes, which are a copy: half of a surrogate pair becomes U+FFFD, as in a browser.
func (v Value) Bytes() ([]byte, error) {
	if !v.IsString() {
		return nil, fmt.Errorf("%w; want a string", errKind)
	}
	if plain := v.raw[1 : len(v.raw)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return bytes.Clone(plain), nil
	}
	return []byte(text(v.raw)), nil
}

// Strings returns the texts of an array of strings.
func (v Value) Strings() ([]string, error) { return v.appendElements([]string{}) }

// StringOrStrings returns the text of a string, or the texts of an array of them.
func (v Value) StringOrStrings() ([]string, error) { return v.AppendStrings([]string{}) }

// AppendStrings appends what StringOrStrings returns.
func (v Value) AppendStrings(list []string) ([]string, error) {
	if v.IsString() {
		s, err := v.Text()
		return append(list, s), err
	}
	return v.appendElements(list)
}

func (v Value) appendElements(list []string) ([]string, error) {
	err := v.each(func(e Value) error {
		s, err := e.Text()
		list = append(list, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Compact returns a copy of the value's text without space between its parts.
func (v Value) Compact() []byte {
	b := make([]byte, 0, len(v.raw))
	for i := 0; i < len(v.raw); {
		end := i + 1
		switch v.raw[i] {
		case ' ', '\t', '\r', '\n':
			i++
			continue
		case '"':
			end = scanString(v.raw, i)
		}
		b = append(b, v.raw[i:end]...)
		i = end
	}
	return b
}

// Number returns a number.
func (v Value) Number() (n float64, err error) {
	if len(v.raw) == 0 || v.raw[0] != '-' && (v.raw[0] < '0' || v.raw[0] > '9') {
		return 0, fmt.Errorf("%w; want a number", errKind)
	}
	if err = json.Unmarshal(v.raw, &n); err != nil {
		err = fmt.Errorf("%w: %w", Error, err)
	}
	return n, err
}

// IsInteger reports whether the value is a number without fraction and exponent.
func (v Value) IsInteger() bool {
	digits := bytes.TrimPrefix(v.raw, []byte("-"))
	return len(digits) > 0 && len(bytes.Trim(digits, "0123456789")) == 0
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, -1 if all is.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
