package channelurl

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrName is what all errors of [Template.URL] are.
var ErrName = errors.New("channel has no URL")

// Template is a URL with placeholders that a pattern names. Any number of goroutines may use it.
type Template struct {
	pattern Pattern
	parts   []part
}

// part is text of the URL, or a placeholder.
type part struct {
	text    string
	segment int  // of the pattern, whose value stands here; -1: text does
	path    bool // before the query
}

// Parse reads a URL, a path with or without a query, for the channels of a pattern. A placeholder may stand in the path and
// in the value of a parameter, and each of the pattern's has to be somewhere.
func (p Pattern) Parse(text string) (*Template, error) {
	t := &Template{pattern: p}
	used := map[int]bool{}
	rest, path, pair := text, true, "" // pair is what the parameter has up to here
	for rest != "" {
		i := strings.IndexAny(rest, "{}")
		literal := rest
		if i >= 0 {
			literal = rest[:i]
		}
		if !escapesWhole(literal) {
			return nil, errors.New("has a % without two hexadecimal digits behind it; write %25 for a percent sign")
		}
		if literal != "" {
			t.parts = append(t.parts, part{text: literal, segment: -1})
		}
		path, pair = position(path, pair, literal)
		if i < 0 {
			break
		}
		end := strings.IndexByte(rest[i:], '}')
		name, ok := placeholder(rest[i : i+end+1])
		if end < 0 || !ok {
			return nil, errors.New("has a brace that belongs to no {name}; write %7B and %7D for braces")
		}
		n := p.index(name)
		switch {
		case n < 0:
			return nil, fmt.Errorf("has {%s}, which the channel has not", name)
		case !path && !strings.Contains(pair, "="):
			return nil, fmt.Errorf("has {%s} in the name of a parameter; want it in a value", name)
		}
		used[n] = true
		t.parts = append(t.parts, part{segment: n, path: path})
		rest = rest[i+end+1:]
	}
	for i, s := range p.segments {
		if s.name != "" && !used[i] {
			return nil, fmt.Errorf("does not use {%s}; if that segment of the channel does not matter, write * there", s.name)
		}
	}
	return t, nil
}

// position returns whether what follows text is in the path, and what the parameter that it is in has up to there.
func position(path bool, pair, text string) (bool, string) {
	if path {
		_, query, found := strings.Cut(text, "?")
		if !found {
			return true, ""
		}
		text = query
	}
	if i := strings.LastIndexAny(text, "&;"); i >= 0 {
		return false, text[i+1:]
	}
	return false, pair + text
}

// Match is Pattern.Match.
func (t *Template) Match(channel string) bool { return t.pattern.Match(channel) }

// Reaches reports whether the path of some channel's URL may be another path, or below it, because of a placeholder. One
// that is or is below it in any case is what the template's author wanted.
func (t *Template) Reaches(path string) bool {
	var own strings.Builder
	for _, p := range t.parts {
		text, _, query := strings.Cut(p.text, "?")
		if p.segment >= 0 {
			text = "{" // no other byte of a valid URL
		}
		if own.WriteString(text); query {
			break
		}
	}
	placed := false
	segments := strings.Split(strings.Trim(own.String(), "/"), "/")
	for i, want := range strings.Split(strings.Trim(path, "/"), "/") {
		switch {
		case i == len(segments):
			return false
		case strings.Contains(segments[i], "{"):
			if placed = true; !mayBe(segments[i], want) {
				return false
			}
		case segments[i] != want:
			return false
		}
	}
	return placed
}

// mayBe reports whether a segment with placeholders, written as braces, may become want.
func mayBe(segment, want string) bool {
	first, last := strings.IndexByte(segment, '{'), strings.LastIndexByte(segment, '{')
	before, behind := segment[:first], segment[last+1:]
	return len(want) > len(before)+len(behind) && strings.HasPrefix(want, before) && strings.HasSuffix(want, behind)
}

// escapesWhole reports whether each escape in text is complete: a placeholder behind it must not become a part of it.
func escapesWhole(text string) bool {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			return true
		}
		if len(after) < 2 || !isHex(after[0]) || !isHex(after[1]) {
			return false
		}
		rest = after[2:]
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// URL returns the URL of a channel that Match accepts. An error, always an ErrName, says why a name has none.
func (t *Template) URL(channel string) (string, error) {
	segments := strings.Split(channel, ".")
	if len(segments) != len(t.pattern.segments) {
		return "", fmt.Errorf("%w: the pattern does not match", ErrName)
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.segment < 0 {
			b.WriteString(p.text)
			continue
		}
		if hasAlias(segments[p.segment]) {
			return "", fmt.Errorf("%w: a segment escapes a letter or a digit, and may pass a rule for the name without", ErrName)
		}
		value, err := url.PathUnescape(segments[p.segment])
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrName, err)
		}
		if p.path {
			if problem := pathProblem(value); problem != "" {
				return "", fmt.Errorf("%w: a segment %s, and may not stand in a path", ErrName, problem)
			}
		}
		appendEscaped(&b, value)
	}
	return b.String(), nil
}

// hasAlias reports whether a segment escapes what no encoder escapes: rules of channels compare names as they are, so that
// another rule may be for parcel.%30 than for parcel.0, of which it would get the URL.
func hasAlias(segment string) bool {
	for rest := segment; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found || len(after) < 2 {
			return false
		}
		c, err := strconv.ParseUint(after[:2], 16, 8)
		if b := byte(c); err == nil && (b == '-' || b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z') {
			return true
		}
		rest = after[2:]
	}
}

// pathProblem says what some app may read a value in a path as, apart from a part of one segment.
func pathProblem(value string) string {
	switch {
	case strings.Trim(value, ".") == "":
		return "has only dots"
	case strings.ContainsAny(value, `/\`):
		return "has a slash"
	case strings.ContainsAny(value, ";?#%"):
		return "has one of ;?#%"
	case !utf8.ValidString(value):
		return "is not UTF-8"
	}
	return ""
}

// appendEscaped writes a value with all bytes escaped but those that no URL gives a meaning (RFC 3986 §2.3).
func appendEscaped(b *strings.Builder, value string) {
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
}
