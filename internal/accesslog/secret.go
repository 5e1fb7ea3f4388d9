package accesslog

import (
	"bytes"
	"net/url"
)

// hidden stands for a secret.
const hidden = "***"

// Hide keeps the value of a query parameter out of the log where a target's path is path or below it. It is called
// before the first Begin.
func (l *Log) Hide(path, parameter string) {
	if l != nil {
		l.secretPath, l.secret = []byte(path), parameter
	}
}

// public returns a target, a line or an address as it may be logged. A path in the wrong place hides too much, not too
// little.
func (l *Log) public(text []byte) []byte {
	if l.secret == "" || !bytes.Contains(text, l.secretPath) || !bytes.ContainsAny(text, "?&;") {
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
		if plain, err := url.QueryUnescape(string(name)); err != nil || plain != l.secret {
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
