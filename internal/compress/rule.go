package compress

import (
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/http1"
)

// Options say which responses are compressed, and how.
type Options struct {
	Codings     []http1.Coding // that may be used; of those that a client wants equally, the first is. Empty: all
	Types       []string       // media types, such as text/html, text/* and *+json; empty: the usual ones
	MinLength   int64          // bytes of a body; a shorter one stays as it is
	Level       int            // 1 (fastest) to 9 (smallest); 0: the default
	SkipCookies bool           // a response that sets a cookie stays as it is

	// Precompressed has a file's neighbours x.zst, x.br and x.gz sent instead of it, as nginx's gzip_static does: whatever
	// their times are.
	Precompressed bool
}

// Named returns the codings of a list of names.
func Named(names []string) (list []http1.Coding, err error) {
	for _, name := range names {
		c, ok := http1.CodingOf([]byte(name))
		switch {
		case !ok || c == http1.Identity || name != c.String():
			return nil, fmt.Errorf("unknown %q; want some of br, zstd, gzip", name)
		case slices.Contains(list, c):
			return nil, fmt.Errorf("%s is twice in the list", name)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("none; want some of br, zstd, gzip")
	}
	return list, nil
}

// defaultCodings are in the order of what they save at the default level, where compressors are not in the processor's cache
// (BenchmarkCodings).
var defaultCodings = []http1.Coding{http1.Brotli, http1.Zstd, http1.Gzip}

// defaultLevel makes bodies about as small as zlib's level 4 does.
const defaultLevel = 4

// Rule is Options in use. Nil compresses nothing.
type Rule struct {
	codings     []http1.Coding
	types       typeSet
	minLength   int64
	level       int
	skipCookies bool
	static      bool
}

// NewRule checks the options.
func NewRule(o Options) (*Rule, error) {
	r := &Rule{codings: o.Codings, minLength: o.MinLength, level: o.Level, skipCookies: o.SkipCookies, static: o.Precompressed}
	if len(r.codings) == 0 {
		r.codings = defaultCodings
	}
	if slices.Contains(r.codings, http1.Identity) {
		return nil, errors.New("compress: identity is no compression")
	}
	if r.level == 0 {
		r.level = defaultLevel
	}
	if r.level < 1 || r.level > MaxLevel {
		return nil, fmt.Errorf("compress: level %d is not between 1 and %d", r.level, MaxLevel)
	}
	list := o.Types
	if len(list) == 0 {
		list = defaultTypes
	}
	var err error
	if r.types, err = newTypeSet(list); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return r, nil
}

// digests are fields about the bytes of a body, which compression changes.
var digests = [...]string{"content-md5", "digest", "content-digest", "repr-digest"}

// mayCompress reports whether a response may be compressed, whoever asks for it.
func (r *Rule) mayCompress(a *http1.Answer) bool {
	if a.Status < 200 || a.Status == 204 || a.Status == 205 || a.Status == 206 || a.Status == 304 {
		return false
	}
	matches := 0
	for i := range a.Fields {
		f := &a.Fields[i]
		switch len(f.Name) {
		case 10:
			if http1.EqualFold(f.Name, "set-cookie") && r.skipCookies {
				return false
			}
		case 12:
			if http1.EqualFold(f.Name, "content-type") && !f.Drop {
				if matches++; matches > 1 || !r.types.has(f.Value) {
					return false
				}
			}
		case 13:
			if http1.EqualFold(f.Name, "content-range") || http1.EqualFold(f.Name, "cache-control") && http1.HasToken(f.Value, "no-transform") {
				return false
			}
		case 16:
			if http1.EqualFold(f.Name, "content-encoding") && !f.Drop {
				return false
			}
		case 17: // which is dropped, as it is for the proxy
			if http1.EqualFold(f.Name, "x-accel-buffering") && http1.EqualFold(f.Value, "no") {
				return false
			}
		}
	}
	return matches == 1
}

// addVary notes that the response depends on Accept-Encoding.
func addVary(a *http1.Answer) {
	for i := range a.Fields {
		f := &a.Fields[i]
		if f.Drop || len(f.Name) != len("vary") || !http1.EqualFold(f.Name, "vary") {
			continue
		}
		if http1.HasToken(f.Value, "*") || http1.HasToken(f.Value, "accept-encoding") {
			return
		}
	}
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "vary") && len(f.Value) > 0 {
			f.Value = append(append(make([]byte, 0, len(f.Value)+17), f.Value...), ", Accept-Encoding"...)
			return
		}
	}
	a.Fields = append(a.Fields, http1.Field{Name: []byte("Vary"), Value: []byte("Accept-Encoding")})
}

// encode makes the fields of a head those of the compressed response.
func encode(a *http1.Answer) {
	for _, name := range [...]string{"content-length", "transfer-encoding", "accept-ranges"} {
		a.Drop(name)
	}
	for _, name := range digests {
		a.Drop(name)
	}
	markTags(a)
}

// markTags makes the entity tag of a head that of the compressed response.
func markTags(a *http1.Answer) {
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop && len(f.Name) == len("etag") && http1.EqualFold(f.Name, "etag") {
			f.Value = http1.AppendEncodedTag(nil, f.Value)
		}
	}
}
