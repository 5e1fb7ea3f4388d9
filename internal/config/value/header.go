package value

import (
	"slices"
	"strings"
)

// Header is the fields of a request, by their names as they are usually written; nil if there are none.
type Header map[string]string

// Get returns a field, whose name is written as usual.
func (h Header) Get(name string) string { return h[name] }

// ownHeaders are written by Holdfast, or say how a message is to be read.
var ownHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Proxy-Connection", "Range", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// HeaderProblem says what is wrong with a field. It does not show its value, which may be a secret.
func HeaderProblem(name, value string) string {
	switch {
	case name == "" || strings.Trim(name, LettersDigits+"!#$%&'*+-.^_`|~") != "":
		return "is not the name of a header; want one such as Cookie"
	case slices.Contains(ownHeaders, name):
		return "is written by Holdfast itself"
	case value == "" || strings.TrimSpace(value) != value:
		return "is empty, or has a space at its beginning or end"
	case HasControl(value):
		return "has a control character"
	}
	return ""
}
