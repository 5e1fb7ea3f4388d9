package inject

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"strings"

	"holdfast/internal/http1"
)

// Rule is a script tag to add, compiled once. Nothing changes it afterwards, so any goroutine may use it.
type Rule struct {
	path  string // of the script, on the page's own origin
	attrs string // rendered, with a blank before each
	mark  string // of this tag, for entity tags
}

// Attr is an attribute of the tag besides src.
type Attr struct{ Name, Value string }

// NewRule returns the rule for a script at an absolute path of the page's origin. Names of attributes are not checked.
func NewRule(path string, attrs ...Attr) *Rule {
	r := &Rule{path: path}
	r.attrs = attribute("src", path)
	for _, a := range attrs {
		r.attrs += attribute(a.Name, a.Value)
	}
	sum := fnv.New32a()
	sum.Write([]byte(r.attrs)) // into memory
	r.mark = fmt.Sprintf("%06x", sum.Sum32()&0xffffff)
	return r
}

// attribute renders an attribute in ASCII, so that it reads the same in every charset, in HTML and in XML.
func attribute(name, value string) string {
	var b strings.Builder
	b.WriteString(" " + name + `="`)
	for _, c := range value {
		if c < ' ' || c > '~' || strings.ContainsRune(`&<>"`, c) {
			fmt.Fprintf(&b, "&#%d;", c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String() + `"`
}

// tag returns the tag for a page: with the nonce of its policy, if that is not empty, and with the prefix of XHTML's
// namespace, colon included, if the page has one.
func (r *Rule) tag(prefix []byte, nonce string) []byte {
	b := fmt.Appendf(nil, "<%sscript%s", prefix, r.attrs)
	if nonce != "" {
		b = append(b, attribute("nonce", nonce)...)
	}
	return fmt.Appendf(b, "></%sscript>", prefix)
}

// Request looks at the head of a request and returns why its response can't be a page to add the tag to, or nothing. If
// it can, the head is changed: the app is asked for a body without compression, and If-None-Match has the app's own entity
// tags. Those that were given with another tag, of an earlier configuration, are left out, and If-Modified-Since with them:
// the client has to have the page anew. So it has if it wants the rest of one that it knows by its date: that has the tag,
// so the app's bytes are not at the same places.
func (r *Rule) Request(h *http1.Head) Reason {
	if m := string(h.Method); m != "GET" && m != "HEAD" {
		return Method
	}
	for i := range h.Fields {
		switch f := &h.Fields[i]; {
		case f.Drop:
		case http1.EqualFold(f.Name, "x-requested-with") && http1.EqualFold(f.Value, "XMLHttpRequest"):
			return Script
		case http1.EqualFold(f.Name, "sec-fetch-dest") && !http1.IsPageDest(f.Value):
			return Script
		}
	}
	stale, rest := false, false
	for i := range h.Fields {
		switch f := &h.Fields[i]; {
		case f.Drop:
		case http1.EqualFold(f.Name, "accept-encoding"):
			f.Value = []byte("identity")
		case http1.EqualFold(f.Name, "if-none-match"):
			tags, dropped := r.restore(f.Value)
			f.Value, f.Drop, stale = tags, len(tags) == 0, stale || dropped
		case http1.EqualFold(f.Name, "if-range"):
			rest = rest || !bytes.HasPrefix(f.Value, []byte(`"`)) // a strong entity tag is none of a page with the tag
		}
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		f.Drop = f.Drop || stale && http1.EqualFold(f.Name, "if-modified-since") ||
			rest && (http1.EqualFold(f.Name, "if-range") || http1.EqualFold(f.Name, "range"))
	}
	return ""
}
