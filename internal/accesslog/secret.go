package accesslog

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
)

// hidden stands for a secret.
const hidden = "***"

// Hide keeps the value of a query parameter out of the log where a target's path is one of paths or below it. It is
// called before the first Begin.
func (l *Log) Hide(parameter string, paths ...string) {
	if l != nil {
		l.secretPaths, l.secret = paths, parameter
	}
}

// public returns a target, a line or an address as it may be logged. A path in the wrong place hides too much, not too
// little.
func (l *Log) public(text []byte) []byte {
	isSecret := func(path string) bool { return bytes.Contains(text, []byte(path)) }
	if l.secret == "" || !bytes.ContainsAny(text, "?&;") || !slices.ContainsFunc(l.secretPaths, isSecret) {
		return text
	}
	var b []byte
	done := 0
	for i, c := range text {
		if i < done || c != '?' && c != '&' && c != ';' { // some apps take a semicolon for an ampersand
			continue
		}
		name, value, ok := bytes.Cut(text[i+1:], []byte("="))
		if j := bytes.IndexAny(name, "?&;# "); !ok || j >= 0 {
			continue
		}
		// A name that is nearly right does not open anything, but its value is the secret all the same.
		if plain, err := url.QueryUnescape(string(name)); err != nil || !strings.EqualFold(strings.Trim(plain, " \x00"), l.secret) {
			continue
		}
		end := len(value)
		if j := bytes.IndexAny(value, "&# "); j >= 0 {
			end = j
		}
		b = append(append(b, text[done:i+1+len(name)+1]...), hidden...)
		done = i + 1 + len(name) + 1 + end
	}
	return append(b, text[done:]...)
}
