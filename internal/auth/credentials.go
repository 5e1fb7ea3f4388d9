package auth

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"

	"holdfast/internal/http1"
)

// MaxCredentials is how many sessions a client may have. One with more is refused: any of them may be the valid one.
const MaxCredentials = 16

// Credentials identifies sessions of the app by hashes of their cookies. Any goroutine may use it.
type Credentials struct {
	names []string
	seed  maphash.Seed
}

// NewCredentials identifies sessions by the cookies of these names; a trailing asterisk stands for any ending.
func NewCredentials(names []string) *Credentials {
	return &Credentials{names: names, seed: maphash.MakeSeed()}
}

// Of returns the sessions that a request may belong to, by its fields of Cookie and by ;jsessionid= in its target: the
// first name's before the second's. If a cookie comes twice, for two paths, only the app knows which one it uses. The
// list is one longer than MaxCredentials if there are more.
func (c *Credentials) Of(cookies [][]byte, target []byte) (list []uint64) {
	add := func(name string, value []byte) {
		if h := c.hash(name, value); h != 0 && len(list) <= MaxCredentials && !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	for _, wanted := range c.names {
		for _, line := range cookies {
			for pair := range bytes.SplitSeq(line, []byte(";")) {
				n, value, ok := bytes.Cut(pair, []byte("="))
				if name := http1.TrimOWS(n); ok && isCookie(wanted, name) {
					add(string(name), bytes.Trim(http1.TrimOWS(value), `"`))
				}
			}
		}
		if wanted == "JSESSIONID" {
			if _, value, ok := bytes.Cut(target, []byte(";jsessionid=")); ok {
				if i := bytes.IndexAny(value, ";/?#"); i >= 0 {
					value = value[:i]
				}
				add(wanted, value)
			}
		}
	}
	return list
}

// isCookie reports whether a cookie's name is the wanted one, or begins as that does before a trailing asterisk.
func isCookie(wanted string, name []byte) bool {
	if prefix, ok := strings.CutSuffix(wanted, "*"); ok {
		return bytes.HasPrefix(name, []byte(prefix))
	}
	return string(name) == wanted
}

func (c *Credentials) hash(name string, value []byte) uint64 {
	if len(value) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(name)
	_ = h.WriteByte(0)
	_, _ = h.Write(value)
	return max(h.Sum64(), 1)
}

// CookieEffect is the effect of a Set-Cookie on a session.
type CookieEffect uint8

// The effects.
const (
	CookieUntouched CookieEffect = iota // it is not a session's
	CookieChanged                       // there is another
	CookieCleared
)

// ParseSetCookie returns the name of the cookie that a field sets, and what that does to the session (RFC 6265 §5.2).
func (c *Credentials) ParseSetCookie(line []byte) (name string, effect CookieEffect) {
	pair, _, _ := bytes.Cut(line, []byte(";"))
	n, _, ok := bytes.Cut(pair, []byte("="))
	n = http1.TrimOWS(n)
	if !ok || !slices.ContainsFunc(c.names, func(wanted string) bool { return isCookie(wanted, n) }) {
		return "", CookieUntouched
	}
	if clearsCookie(line) {
		return string(n), CookieCleared
	}
	return string(n), CookieChanged
}

// Effect returns what the fields of Set-Cookie in one response do: whether one of the cookies is cleared and not set anew
// after it, and whether any is touched.
func (c *Credentials) Effect(fields [][]byte) (cleared, changed bool) {
	gone := map[string]bool{} // by the name of a cookie: it was cleared, and not set anew
	for _, line := range fields {
		name, effect := c.ParseSetCookie(line)
		switch {
		case effect == CookieCleared && !gone[name]:
			_, set := gone[name]
			gone[name] = !set
		case effect == CookieChanged:
			gone[name] = false
		}
		changed = changed || effect != CookieUntouched
	}
	for _, over := range gone {
		cleared = cleared || over
	}
	return cleared, changed
}
