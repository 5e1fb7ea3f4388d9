// Package deny has patterns of paths that are not served: of names, such as *.sql, and of whole paths, such as /data/**.
//
// A path is compared in every way in which an app or a file system may read it, in any case of letters: what is denied in
// one of them is denied.
package deny

import (
	"bytes"
	"errors"
	"strings"

	"holdfast/internal/http1"
)

// List is patterns, compiled. A nil List denies nothing. Nothing changes it, so any goroutine may use it.
type List struct {
	names []string   // of any element of a path
	paths [][]string // elements of whole paths; "**" is any number of them
}

// ErrPattern is what all errors of New are.
var ErrPattern = errors.New("bad pattern")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrPattern }

// New compiles patterns. One without a slash is compared with each name in a path, one that begins with a slash with the
// whole path. * stands for any part of one name, ? for one byte, and ** between slashes for any number of names; so /data/**
// is /data and all below it, as /data/ is.
func New(patterns []string) (*List, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	l := new(List)
	for _, p := range patterns {
		if err := Check(p); err != nil {
			return nil, err
		}
		p = string(appendLower(nil, []byte(p)))
		if p[0] != '/' {
			l.names = append(l.names, p)
			continue
		}
		if len(p) > 1 && strings.HasSuffix(p, "/") { // a folder
			p += "**"
		}
		l.paths = append(l.paths, strings.Split(strings.Trim(p, "/"), "/"))
	}
	return l, nil
}

// Check returns what is wrong with a pattern.
func Check(p string) error {
	switch {
	case p == "":
		return problem("is empty")
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return problem("has a control character")
	case strings.ContainsAny(p, "\\%#"):
		return problem(`has \, % or #; write the path as it reads when it is decoded`)
	case p[0] != '/' && strings.Contains(p, "/"):
		return problem("has a slash and does not begin with one; want a name such as *.sql, or a path such as /data/**")
	case p[0] != '/' && strings.Trim(p, "*") == "":
		return problem(`denies every name; want "/**" to deny everything`)
	}
	if p[0] != '/' || p == "/" {
		return nil
	}
	for e := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
		switch {
		case e == "" || e == "." || e == "..":
			return problem("has an empty or a dot segment")
		case e != "**" && strings.Contains(e, "**"):
			return problem("has ** beside other characters; it stands alone between slashes")
		}
	}
	return nil
}

// Denies reports whether a path is denied, as it was sent and without the query.
func (l *List) Denies(path []byte) bool {
	if l == nil || len(path) == 0 || path[0] != '/' {
		return false
	}
	var buf [256]byte
	if http1.IsCanonical(path) {
		return l.has(appendLower(buf[:0], path))
	}
	for how := range http1.PathFormsOf(path) {
		read, _, ok := http1.Canonical(buf[:0], path, how|http1.Lenient)
		if ok && l.has(appendLower(read[:0], read)) {
			return true
		}
	}
	return false
}

// has reports whether a path as it reads is denied. It is in lower case.
func (l *List) has(path []byte) bool {
	for rest := path[1:]; len(l.names) > 0 && rest != nil; {
		name := rest
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			name, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		name = trimName(name)
		for _, p := range l.names {
			if glob(p, name) {
				return true
			}
		}
	}
	for _, p := range l.paths {
		if matches(p, bytes.Trim(path, "/")) {
			return true
		}
	}
	return false
}

// trimName cuts off what some systems and apps ignore at the end of a name: dots, spaces and control bytes.
func trimName(name []byte) []byte {
	n := len(name)
	for n > 0 && (name[n-1] <= ' ' || name[n-1] == '.' || name[n-1] == 0x7f) {
		n--
	}
	return name[:n]
}

// matches reports whether elements stand for a path without slashes around it.
func matches(pattern []string, path []byte) bool {
	if len(pattern) == 1 && pattern[0] == "" { // "/"
		return len(path) == 0
	}
	// As in glob: on a mismatch, the last ** takes one more element.
	star, again, p := -1, path, 0
	for rest := path; ; {
		if p < len(pattern) && pattern[p] == "**" {
			star, again = p, rest
			p++
			continue
		}
		if len(rest) == 0 {
			if p == len(pattern) {
				return true
			}
		} else if p < len(pattern) {
			name, after, _ := bytes.Cut(rest, []byte("/"))
			if glob(pattern[p], trimName(name)) {
				p, rest = p+1, after
				continue
			}
		}
		if star < 0 || len(again) == 0 {
			return false
		}
		_, again, _ = bytes.Cut(again, []byte("/"))
		p, rest = star+1, again
	}
}

// glob reports whether a pattern with * and ? stands for a name.
func glob(p string, name []byte) bool {
	star, again := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(p) && p[i] == '*':
			star, again = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == name[j]):
			i, j = i+1, j+1
		case star >= 0:
			again++
			i, j = star+1, again
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
