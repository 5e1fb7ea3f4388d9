// Package expand has texts with variables: paths and URLs that depend on a request's.
//
//	$path        the request's path, as it was sent
//	$query       its query, as it was sent, without the question mark
//	$0           what the pattern of the route matches
//	$1 … $9      its groups, and ${name} one with a name
//	$$           a dollar sign
//
// Groups are percent-encoded: whatever they match, they are a part of a path, or of one value in a query.
package expand

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrText is what all errors of Parse are.
var ErrText = errors.New("bad text")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrText }

// Text is a text with variables. Nothing changes it.
type Text struct{ parts []part }

// part is plain text, or a variable.
type part struct {
	text    string
	what    kind
	group   int
	inQuery bool // it is behind a question mark
}

type kind uint8

const (
	plain kind = iota
	path
	query
	group
)

// Values are what the variables stand for.
type Values struct {
	Path, Query []byte
	Groups      [][]byte // of the pattern, decoded, by their number; a zero byte is an encoded slash
}

// foreign are variables of nginx, and what says the same here.
var foreign = map[string]string{
	"uri": "$path", "request_uri": "$path", "document_uri": "$path", "args": "$query", "query_string": "$query", "is_args": "nothing, as the query is kept",
}

// Parse parses a text. groups are the names of a pattern's groups, as regexp.Regexp.SubexpNames returns them; nil: there is no
// pattern.
func Parse(text string, groups []string) (*Text, error) {
	t := new(Text)
	inQuery := false
	for text != "" {
		before, rest, found := strings.Cut(text, "$")
		inQuery = inQuery || strings.Contains(before, "?")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			break
		}
		if strings.HasPrefix(rest, "$") {
			t.parts, text = append(t.parts, part{text: "$"}), rest[1:]
			continue
		}
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz_"))]
		if name == "" && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			name = rest[:1]
		}
		text = rest[len(name):]
		if inside, ok := strings.CutPrefix(rest, "{"); ok {
			if name, text, ok = strings.Cut(inside, "}"); !ok {
				return nil, problem("has a ${ without its }")
			}
		}
		p, err := variable(name, groups)
		if err != nil {
			return nil, err
		}
		p.inQuery = inQuery
		t.parts = append(t.parts, p)
	}
	return t, nil
}

func variable(name string, groups []string) (part, error) {
	number := len(name) == 1 && name[0] >= '0' && name[0] <= '9'
	switch {
	case name == "":
		return part{}, problem("has a $ that no variable follows; want $path, $query, $1 or the like, or $$ for a dollar sign")
	case name == "path":
		return part{what: path}, nil
	case name == "query":
		return part{what: query}, nil
	case groups == nil && number:
		return part{}, problem(fmt.Sprintf("has $%s, and the route has no pattern", name))
	case number && int(name[0]-'0') >= len(groups):
		return part{}, problem(fmt.Sprintf("has $%s, and the pattern has %d groups", name, len(groups)-1))
	case number:
		return part{what: group, group: int(name[0] - '0')}, nil
	}
	if i := slices.Index(groups, name); i > 0 {
		return part{what: group, group: i}, nil
	}
	if here, ok := foreign[name]; ok {
		return part{}, problem(fmt.Sprintf("has $%s; want %s", name, here))
	}
	return part{}, problem(fmt.Sprintf("has $%.40s, which is no variable; want $path, $query, or a group of the pattern", name))
}

// Plain reports whether the text has no variables, and returns it.
func (t *Text) Plain() (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.what != plain {
			return "", false
		}
		b.WriteString(p.text)
	}
	return b.String(), true
}

// Start returns the text before its first variable.
func (t *Text) Start() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.what != plain {
			break
		}
		b.WriteString(p.text)
	}
	return b.String()
}

// Append appends the text with the values of its variables.
func (t *Text) Append(dst []byte, v *Values) []byte {
	for i := range t.parts {
		switch p := &t.parts[i]; p.what {
		case plain:
			dst = append(dst, p.text...)
		case query:
			dst = append(dst, v.Query...)
		case path:
			if !p.inQuery {
				dst = append(dst, v.Path...)
				continue
			}
			for _, c := range v.Path {
				if strings.IndexByte("&=+;", c) >= 0 {
					dst = appendEscape(dst, c)
				} else {
					dst = append(dst, c)
				}
			}
		case group:
			if p.group < len(v.Groups) {
				dst = appendEncoded(dst, v.Groups[p.group])
			}
		}
	}
	return dst
}

func appendEncoded(dst, b []byte) []byte {
	for _, c := range b {
		switch {
		case c == 0:
			dst = appendEscape(dst, '/')
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/!'()*,:@", c) >= 0:
			dst = append(dst, c)
		default:
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}
