package http1

import (
	"bytes"
	"regexp"
)

// PathTable finds the path of several that a request's path is, or is at or below. The first that matches decides.
type PathTable []PathEntry

// PathEntry is a path of a PathTable.
type PathEntry struct {
	Path    string         // absolute, as an app reads it, without a trailing slash; empty: everything
	Exact   bool           // Path itself, and nothing below it; it may end in a slash then
	Pattern *regexp.Regexp // instead of Path: what a path matches, as PlainPath has it
	Cuts    bool           // the part after Path is interpreted by itself
}

// matches reports whether a path, decoded and without dot segments, is the entry's. A session's ";jsessionid=…" after it is
// not part of the name, in any reading.
func (e *PathEntry) matches(path []byte) bool {
	if e.Pattern != nil {
		return e.Pattern.Match(path)
	}
	n := len(e.Path)
	switch {
	case len(path) < n || string(path[:n]) != e.Path:
		return false
	case len(path) == n:
		return true
	case e.Exact:
		return path[n] == ';' && bytes.IndexByte(path[n:], '/') < 0
	}
	return path[n] == '/' || path[n] == ';'
}

// Find returns the index of a path's entry, or len(t) if it has none. A path that an app could read as another entry's is
// refused, so that no reading of it reaches an app of another route.
func (t PathTable) Find(path []byte) (int, *Refusal) {
	if len(t) == 0 || len(path) == 0 || path[0] != '/' {
		return len(t), nil
	}
	if IsCanonical(path) {
		return t.first(path), nil
	}
	found, dotted := 0, false
	var buf [256]byte
	for how := range PathFormsOf(path) {
		read, dots, slash, ok := readPath(buf[:0], path, how)
		if !ok {
			return 0, Refuse(400, "path with control bytes, or with more .. than segments; with routes every path must be readable")
		}
		if slash {
			read = append(read, '/')
		}
		i := t.first(read)
		if how > 0 && i != found {
			return 0, Refuse(400, "path that apps may read as one of two of the routes")
		}
		found, dotted = i, dotted || dots
	}
	if found < len(t) && t[found].Cuts && (dotted || !t[found].matches(path)) {
		return 0, Refuse(400, "path whose beginning cannot be replaced by the upstream_prefix, root or redirect of routes: it is encoded, or has dot segments")
	}
	return found, nil
}

func (t PathTable) first(path []byte) int {
	for i := range t {
		if t[i].matches(path) {
			return i
		}
	}
	return len(t)
}
