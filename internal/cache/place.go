package cache

import (
	"bytes"
	"slices"

	"holdfast/internal/http1"
)

// Place is what a response is about, and by what it can be invalidated besides its groups. It is never changed.
type Place struct {
	Rule    string
	Origin  string // scheme://host[:port] in lower case, without the scheme's own port
	URL     string // path and query; a path that can be read in several ways is as most apps read it
	Asked   string // the same without what is not in the key: any URL of the same question; empty: it is URL
	Channel string // empty: none

	hasher   *Hasher
	tags     []Tag // also those of sessions
	sessions []Tag
}

// NewPlace returns the place of a request of a rule. asked is its target without what is not in its key; nil: all of it is.
// sessions are the tags of those whose response it is; none: everybody's.
func (h *Hasher) NewPlace(rule, channel string, q *Request, asked []byte, sessions []Tag) *Place {
	p := &Place{Rule: rule, Origin: originOf(q), URL: canonicalURL(q.Target), Channel: channel, hasher: h, sessions: sessions}
	p.tags = append(p.tags, h.tag(tagURL, p.Origin, p.URL), h.tag(tagURL, "", p.URL), h.tag(tagRule, rule, ""))
	if asked != nil {
		p.Asked = canonicalURL(asked)
		p.tags = append(p.tags, h.tag(tagURL, p.Origin, p.Asked), h.tag(tagURL, "", p.Asked))
	}
	if channel != "" {
		p.tags = append(p.tags, h.tag(tagChannel, channel, ""))
	}
	p.tags = append(p.tags, sessions...)
	return p
}

// tagsWith returns the tags of a response there that is in groups and shows channels, each once.
func (p *Place) tagsWith(groups, channels []string) []Tag {
	tags := append(make([]Tag, 0, len(p.tags)+2*len(groups)+len(channels)), p.tags...)
	for _, c := range channels {
		tags = append(tags, p.hasher.tag(tagChannel, c, ""))
	}
	for _, g := range groups {
		tags = append(tags, p.hasher.tag(tagGroup, p.Origin, g), p.hasher.tag(tagGroup, "", g))
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

func (p *Place) size() int64 {
	return int64(len(p.Origin) + len(p.URL) + len(p.Asked) + len(p.Channel) + len(p.tags)*8 + 128)
}

// originOf returns the origin of a request's URL (RFC 9110 §4.3.1).
func originOf(q *Request) string {
	scheme, port := "http", "80"
	if q.HTTPS {
		scheme, port = "https", "443"
	}
	return scheme + "://" + string(withoutPort(bytes.ToLower(q.Host), port))
}

// withoutPort returns a host[:port] without the given port, or an empty one.
func withoutPort(host []byte, port string) []byte {
	if name, p := http1.SplitHost(host); string(p) == port || len(p) == 0 {
		return name
	}
	return host
}

// canonicalURL returns a path and query for comparison: the path as most apps read it, so that a change of /a is one of
// /%61 too. The parameters of a session's ";jsessionid=…" are no part of it.
func canonicalURL(target []byte) string {
	path, query := target, []byte(nil)
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		path, query = target[:i], target[i:]
	}
	if http1.IsCanonical(path) {
		return string(target)
	}
	plain := make([]byte, 0, len(path))
	for segment := range bytes.SplitSeq(path, []byte("/")) {
		segment, _, _ = bytes.Cut(segment, []byte(";"))
		plain = append(append(plain, segment...), '/')
	}
	plain = plain[:len(plain)-1]
	slash := len(plain) > 1 && plain[len(plain)-1] == '/'
	read, _, ok := http1.Canonical(nil, plain, 0)
	if !ok {
		return string(target)
	}
	if slash && len(read) > 1 {
		read = append(read, '/')
	}
	return string(append(read, query...))
}
