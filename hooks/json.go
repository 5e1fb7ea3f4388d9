package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// jsonValue is a piece of valid JSON and where it was found.
type jsonValue struct {
	raw    []byte // without space around it
	body   []byte // what it was found in
	offset int    // of raw in body
}

// fail adds to err where the value is.
func (v jsonValue) fail(err error) error { return failAt(v.body, v.offset, err) }

func failAt(body []byte, offset int, err error) error {
	return fmt.Errorf("line %d, offset %d: %w", 1+bytes.Count(body[:offset], []byte{'\n'}), offset, err)
}

// splitJSON returns the values of a body that is one value, an array of values, or one value a line.
// An array's elements are returned; array says that it was one.
func splitJSON(body []byte) (values []jsonValue, array bool, err error) {
	if bad := invalidUTF8(body); bad >= 0 {
		return nil, false, failAt(body, bad, fmt.Errorf("%w: not UTF-8", errJSON))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		v, err := nextValue(dec, body, 0)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, err
		}
		if n := len(values); n > 0 {
			before := values[n-1]
			if bytes.IndexByte(body[before.offset+len(before.raw):v.offset], '\n') < 0 {
				return nil, false, v.fail(fmt.Errorf("%w: more than one value on a line", errJSON))
			}
		}
		values = append(values, v)
	}
	if len(values) != 1 || values[0].raw[0] != '[' {
		return values, false, nil
	}
	values, err = values[0].elements()
	return values, true, err
}

// object returns the one JSON value, no array, that is the body of a call without parameters.
func (c *call) object() (v jsonValue, err error) {
	if _, err := parseQuery(c.query); err != nil {
		return v, err
	}
	values, array, err := splitJSON(c.ctx.PostBody())
	if err != nil {
		return v, err
	}
	if array || len(values) != 1 {
		return v, fmt.Errorf("%w: want one object", errJSON)
	}
	return values[0], nil
}

// nextValue decodes the next value; io.EOF alone says that there is none. The decoder reads from base
// in body.
func nextValue(dec *json.Decoder, body []byte, base int) (v jsonValue, err error) {
	var raw json.RawMessage
	err = dec.Decode(&raw)
	end := base + int(dec.InputOffset())
	if err == nil {
		return jsonValue{raw, body, end - len(raw)}, nil
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
		err = errors.New("it ends in the middle")
	}
	return v, failAt(body, min(max(end, 0), len(body)), fmt.Errorf("%w: %w", errJSON, err))
}

// elements returns the elements of an array.
func (v jsonValue) elements() (list []jsonValue, err error) {
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	if _, err := dec.Token(); err != nil {
		return nil, v.fail(fmt.Errorf("%w: %w", errJSON, err))
	}
	for dec.More() {
		e, err := nextValue(dec, v.body, v.offset)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// members calls f for every member of an object, and refuses what is no object or has a key twice.
func (v jsonValue) members(f func(key string, m jsonValue) error) error {
	if len(v.raw) == 0 || v.raw[0] != '{' {
		return v.fail(fmt.Errorf("%w: want an object", errJSON))
	}
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	if _, err := dec.Token(); err != nil {
		return v.fail(fmt.Errorf("%w: %w", errJSON, err))
	}
	var seen []string
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return v.fail(fmt.Errorf("%w: %w", errJSON, err))
		}
		key, _ := token.(string)
		m, err := nextValue(dec, v.body, v.offset)
		if err != nil {
			return err
		}
		if slices.Contains(seen, key) {
			return m.fail(fmt.Errorf("%w: key %.100q for the second time", errJSON, key))
		}
		seen = append(seen, key)
		if err := f(key, m); err != nil {
			return err
		}
	}
	return nil
}

var errKind = fmt.Errorf("%w: another kind of value than is wanted here", errJSON)

// text returns the text of a string.
func (v jsonValue) text() (s string, err error) {
	if v.raw[0] != '"' {
		return "", errKind
	}
	err = json.Unmarshal(v.raw, &s)
	return s, err
}

// strings returns the texts of an array of strings.
func (v jsonValue) strings() ([]string, error) {
	if v.raw[0] != '[' {
		return nil, errKind
	}
	elements, err := v.elements()
	if err != nil {
		return nil, err
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		if list[i], err = e.text(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// stringOrStrings returns the text of a string, or the texts of an array of them.
func (v jsonValue) stringOrStrings() ([]string, error) {
	if v.raw[0] != '"' {
		return v.strings()
	}
	s, err := v.text()
	return []string{s}, err
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
