package compress

import (
	"fmt"
	"strings"
)

// defaultTypes are the media types whose bodies are texts, or data that becomes much smaller. Formats that are compressed by
// themselves are not among them: images, sound, films, archives, PDF, woff and woff2.
var defaultTypes = []string{
	"text/*", "*+json", "*+xml", "*+yaml",
	"application/javascript", "application/x-javascript", "application/ecmascript", "application/json", "application/xml",
	"application/xml-dtd", "application/wasm", "application/yaml", "application/x-yaml", "application/toml", "application/rtf",
	"application/postscript", "application/sql", "application/graphql", "application/x-sh",
	"application/vnd.ms-fontobject", "application/x-font-ttf", "application/x-font-opentype", "application/x-font-truetype",
	"application/vnd.apple.mpegurl", "application/x-mpegurl",
	"font/ttf", "font/otf", "font/sfnt", "font/collection", "font/eot",
	"image/bmp", "image/x-ms-bmp", "image/x-icon", "image/vnd.microsoft.icon",
}

// streamTypes are those of responses that go on for long in small pieces. Only their own names in a list match them.
var streamTypes = map[string]bool{
	"text/event-stream": true, "application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true,
	"application/x-jsonl": true, "application/jsonlines": true, "application/x-jsonlines": true, "application/json-seq": true,
	"application/geo+json-seq": true, "application/stream+json": true, "application/x-json-stream": true,
	"multipart/x-mixed-replace": true,
}

// maxType is how long a media type may be.
const maxType = 127

// typeSet matches media types.
type typeSet struct {
	exact    map[string]bool
	mains    []string // with their slash
	suffixes []string // with their plus
}

// newTypeSet compiles a list of types: text/html, all of text/*, or all of *+json.
func newTypeSet(list []string) (typeSet, error) {
	s := typeSet{exact: map[string]bool{}}
	for _, pattern := range list {
		pattern = strings.ToLower(pattern)
		main, sub, ok := strings.Cut(pattern, "/")
		switch {
		case len(pattern) > maxType:
			return s, fmt.Errorf("%.40q is longer than %d bytes", pattern, maxType)
		case strings.HasPrefix(pattern, "*+") && isTypeName(pattern[2:]):
			s.suffixes = append(s.suffixes, pattern[1:])
		case ok && sub == "*" && isTypeName(main):
			s.mains = append(s.mains, main+"/")
		case ok && isTypeName(main) && isTypeName(sub):
			s.exact[pattern] = true
		default:
			return s, fmt.Errorf("%q is not a media type; want one such as text/html, text/* or *+json", pattern)
		}
	}
	return s, nil
}

// CheckTypes reports what is wrong with Options.Types.
func CheckTypes(list []string) error {
	_, err := newTypeSet(list)
	return err
}

// isTypeName reports whether s may be a half of a media type (RFC 6838 §4.2).
func isTypeName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$&-^_.+", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// has reports whether the set has a type, the value of a Content-Type.
func (s *typeSet) has(value []byte) bool {
	var room [maxType]byte
	name := room[:0]
	for _, c := range value {
		if c == ';' || c == ' ' || c == '\t' || len(name) == maxType {
			break
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		name = append(name, c)
	}
	if s.exact[string(name)] {
		return true
	}
	if streamTypes[string(name)] {
		return false
	}
	for _, main := range s.mains {
		if len(name) > len(main) && string(name[:len(main)]) == main {
			return true
		}
	}
	for _, suffix := range s.suffixes {
		if len(name) > len(suffix) && string(name[len(name)-len(suffix):]) == suffix {
			return true
		}
	}
	return false
}
