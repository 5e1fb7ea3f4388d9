package http1

import "slices"

// PathSet is paths as apps read them, without a trailing slash.
type PathSet []string

// NewPathSet returns the set of paths as they are configured.
func NewPathSet(paths []string) PathSet {
	var s PathSet
	for _, p := range paths {
		if read, _, ok := Canonical(nil, []byte(p), 0); ok {
			p = string(read)
		}
		s = append(s, p)
	}
	return s
}

// Has reports whether an app may read a request's path as one of the set: encoded, with dot segments, with a session's
// ";jsessionid=…", or with a trailing slash.
func (s PathSet) Has(path []byte) bool {
	if len(s) == 0 || len(path) == 0 {
		return false
	}
	if IsCanonical(path) {
		if n := len(path) - 1; n > 0 && path[n] == '/' {
			path = path[:n]
		}
		return s.has(path)
	}
	var buf [256]byte
	for how := range PathFormsOf(path) {
		if read, _, ok := Canonical(buf[:0], path, how); ok && s.has(read) {
			return true
		}
	}
	return false
}

func (s PathSet) has(path []byte) bool {
	return slices.ContainsFunc(s, func(p string) bool { return p == string(path) })
}
