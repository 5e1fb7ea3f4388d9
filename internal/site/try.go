package site

import (
	"strings"

	"holdfast/internal/expand"
)

// tryFile is a path to try instead of one that does not exist.
type tryFile struct {
	elements []string
	query    string // for a script, instead of the request's
	hasQuery bool
	text     *expand.Text // with variables; then the rest is empty
}

// newTryFile parses an entry of Options.TryFiles.
func newTryFile(p string, groups []string) (t tryFile, err error) {
	text, err := expand.Parse(p, groups)
	if err != nil {
		return t, err
	}
	plain, ok := text.Plain()
	if !ok {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "$") {
			return t, errPath
		}
		return tryFile{text: text}, nil
	}
	slash := false
	if t, slash, err = parseTry(plain); err == nil && (slash || !mayOpen(t.elements)) {
		err = errPath
	}
	return t, err
}

// parseTry parses a path that may have a query.
func parseTry(p string) (t tryFile, slash bool, err error) {
	p, t.query, t.hasQuery = strings.Cut(p, "?")
	t.elements, slash, err = split(p)
	return t, slash, err
}

// Expands reports whether Serve needs Request.Values.
func (s *Site) Expands() bool { return s.expands }

// try looks for what a path to try names.
func (s *Site) try(f *tryFile, v *expand.Values) (t target, err error) {
	entry, slash := *f, false
	if f.text != nil {
		if v == nil {
			v = new(expand.Values)
		}
		if entry, slash, err = parseTry(string(f.text.Append(nil, v))); err != nil {
			return target{status: 400, reason: "path of try_files that can be read in two ways: bad escapes, NUL or dot segments"}, nil
		}
	}
	t, err = s.find(entry.elements, slash)
	if t.script != nil && entry.hasQuery {
		t.script.Query, t.script.HasQuery = entry.query, true
	}
	return t, err
}
