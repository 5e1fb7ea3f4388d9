package strictjson

import (
	"encoding/json"
	"fmt"
	"slices"
)

// words are keys that are read so often that no memory should be taken for them.
var words = func() map[string]string {
	m := make(map[string]string)
	for _, w := range []string{
		"channel", "channels", "code", "connection", "data", "event", "idempotency_key", "last_id", "reason", "ref", "token",
		"type", "user",
	} {
		m[w] = w
	}
	return m
}()

// MemberReader reads the members of an object, one after the other:
//
//	m := v.Read()
//	for m.Next() {
//		use(m.Key, m.Value)
//	}
//	return m.Err()
type MemberReader struct {
	Key   string
	Value Value

	object Value
	at     int // in object.raw: the brace or comma before the next member, or the closing brace
	err    error

	n    int       // keys so far
	room [8]string // the keys, as long as they are few
	many map[string]bool
}

// Read returns a reader of the members. It refuses what is no object or has a key twice, or one that Text would refuse.
func (v Value) Read() MemberReader {
	m := MemberReader{object: v}
	if !v.IsObject() {
		m.err = v.At(fmt.Errorf("%w: want an object", Error))
	}
	return m
}

// Members calls f for every member of an object, and refuses what Read refuses.
func (v Value) Members(f func(key string, m Value) error) error {
	m := v.Read()
	for m.Next() {
		if err := f(m.Key, m.Value); err != nil {
			return err
		}
	}
	return m.Err()
}

// Err returns the error that has ended Next.
func (m *MemberReader) Err() error { return m.err }

// Next reads the next member. It reports false at the end and after an error.
func (m *MemberReader) Next() bool {
	if m.err != nil {
		return false
	}
	b := m.object.raw
	i := skipSpace(b, m.at+1)
	if i >= len(b) || b[i] == '}' {
		return false
	}
	end := scanString(b, i)
	if hasHalf(b[i:end]) {
		m.err = m.object.At(fmt.Errorf("key %.100q: %w", b[i:end], errHalf))
		return false
	}
	m.Key = text(b[i:end])
	i = scanKey(b, i)
	if end = scan(b, i, MaxDepth); end < 0 {
		m.err = m.object.At(Error) // the object was checked, so this does not happen
		return false
	}
	m.Value = Value{b[i:end:end], m.object.body, m.object.offset + i}
	m.at = skipSpace(b, end)
	if m.again() {
		m.err = m.Value.At(fmt.Errorf("%w: key %.100q for the second time", Error, m.Key))
		return false
	}
	return true
}

// again reports whether Key came before, and notes it.
func (m *MemberReader) again() bool {
	n := m.n
	m.n++
	if n < len(m.room) {
		m.room[n] = m.Key
		return slices.Contains(m.room[:n], m.Key)
	}
	if m.many == nil {
		m.many = make(map[string]bool)
		for _, key := range m.room {
			m.many[key] = true
		}
	}
	again := m.many[m.Key]
	m.many[m.Key] = true
	return again
}

// text returns the text of a valid string.
func text(raw []byte) string {
	plain := raw[1 : len(raw)-1]
	if w, ok := words[string(plain)]; ok {
		return w
	}
	if slices.Contains(plain, '\\') {
		var s string
		_ = json.Unmarshal(raw, &s) // it is valid
		return s
	}
	return string(plain)
}
