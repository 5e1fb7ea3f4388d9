package strictjson

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Pointer names a value inside another (RFC 6901).
type Pointer struct{ tokens []string }

// ParsePointer reads a pointer, such as /parcels/0/state. The empty one names the whole value.
func ParsePointer(text string) (Pointer, error) {
	if text == "" {
		return Pointer{}, nil
	}
	if text[0] != '/' {
		return Pointer{}, errors.New("does not begin with /")
	}
	tokens := strings.Split(text[1:], "/")
	for i, token := range tokens {
		plain := strings.NewReplacer("~0", "", "~1", "").Replace(token)
		if strings.Contains(plain, "~") {
			return Pointer{}, errors.New("has a ~ that is neither ~0, for ~, nor ~1, for /")
		}
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	return Pointer{tokens}, nil
}

// Find returns the value that p names in v.
func (p Pointer) Find(v Value) (Value, error) {
	for i, token := range p.tokens {
		next, found, err := v.child(token)
		if err != nil {
			return Value{}, err
		}
		if !found {
			return Value{}, v.At(fmt.Errorf("%w: no value at %.100q, step %d of the pointer", Error, token, i+1))
		}
		v = next
	}
	return v, nil
}

// child returns the member of an object, or the element of an array, that a token names.
func (v Value) child(token string) (child Value, found bool, err error) {
	switch {
	case v.IsObject():
		err = v.Members(func(key string, m Value) error {
			if key == token {
				child, found = m, true
			}
			return nil
		})
	case len(v.raw) > 0 && v.raw[0] == '[':
		n, e := strconv.ParseUint(token, 10, 31)
		if e != nil || strconv.FormatUint(n, 10) != token {
			return child, false, nil
		}
		var list []Value
		if list, err = v.Elements(); err == nil && n < uint64(len(list)) {
			child, found = list[n], true
		}
	}
	return child, found, err
}
