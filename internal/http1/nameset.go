package http1

// NameSet is a set of names of fields, which are compared without case. The zero NameSet is empty.
type NameSet struct {
	byLength [][]string
}

// NewNameSet returns the set of these names.
func NewNameSet(names ...string) (s NameSet) {
	for _, name := range names {
		for len(s.byLength) <= len(name) {
			s.byLength = append(s.byLength, nil)
		}
		s.byLength[len(name)] = append(s.byLength[len(name)], name)
	}
	return s
}

// Has reports whether a name is in the set. It does not allocate.
func (s NameSet) Has(name []byte) bool {
	if len(name) >= len(s.byLength) {
		return false
	}
	for _, n := range s.byLength[len(name)] {
		if EqualFold(name, n) {
			return true
		}
	}
	return false
}
