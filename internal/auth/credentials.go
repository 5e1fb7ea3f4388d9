package auth

import (
	"bytes"
	"slices"

	"holdfast/internal/cookie"
	"holdfast/internal/http1"
)

// MaxCredentials is how many sessions a client may have. One with more is refused: any of them may be the valid one.
const MaxCredentials = 16

// Credentials identifies sessions of the app by hashes of their cookies. Any goroutine may use it.
type Credentials struct {
	names []string
}

// NewCredentials identifies sessions by the cookies of these names; a trailing asterisk stands for any ending.
func NewCredentials(names []string) *Credentials {
	return &Credentials{names: names}
}

// Of returns the sessions that a request may belong to, by its fields of Cookie and by ;jsessionid= in its target: the
// first name's before the second's. If a cookie comes twice, for two paths, only the app knows which one it uses. The
// list is one longer than MaxCredentials if there are more.
func (c *Credentials) Of(cookies [][]byte, target []byte) (list []uint64) {
	add := func(wanted string, name, value []byte) {
		if h := cookie.Credential(wanted, name, value); h != 0 && len(list) <= MaxCredentials && !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	for _, wanted := range c.names {
		for _, line := range cookies {
			for pair := range bytes.SplitSeq(line, []byte(";")) {
				n, value, ok := bytes.Cut(pair, []byte("="))
				if name := http1.TrimOWS(n); ok && cookie.Is(wanted, name) {
					add(wanted, name, value)
				}
			}
		}
		if wanted == "JSESSIONID" {
			if _, value, ok := bytes.Cut(target, []byte(";jsessionid=")); ok {
				if i := bytes.IndexAny(value, ";/?#"); i >= 0 {
					value = value[:i]
				}
				add(wanted, []byte(wanted), value)
			}
		}
	}
	return list
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
	if !ok || !slices.ContainsFunc(c.names, func(wanted string) bool { return cookie.Is(wanted, n) }) {
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
