package auth

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/http1"
)

// ReplaceCookies returns the value of Cookie that a client sends after it has taken fields of Set-Cookie. Cookies that
// a field clears are removed.
func ReplaceCookies(cookie string, set []string) string {
	if len(set) == 0 {
		return cookie
	}
	var pairs []string
	for pair := range strings.SplitSeq(cookie, ";") {
		if pair = strings.Trim(pair, " \t"); pair != "" {
			pairs = append(pairs, pair)
		}
	}
	for _, line := range set {
		pair, _, _ := strings.Cut(line, ";")
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.Trim(name, " \t"); !ok || name == "" {
			continue
		}
		same := func(pair string) bool { n, _, _ := strings.Cut(pair, "="); return strings.Trim(n, " \t") == name }
		i := slices.IndexFunc(pairs, same)
		pairs = slices.DeleteFunc(pairs, same)
		if clearsCookie([]byte(line)) {
			continue
		}
		if i < 0 || i > len(pairs) {
			i = len(pairs)
		}
		pairs = slices.Insert(pairs, i, name+"="+strings.Trim(value, " \t"))
	}
	return strings.Join(pairs, "; ")
}

// clearsCookie reports whether a Set-Cookie ends its cookie.
func clearsCookie(line []byte) bool {
	pair, attributes, _ := bytes.Cut(line, []byte(";"))
	_, value, _ := bytes.Cut(pair, []byte("="))
	if v := string(bytes.Trim(http1.TrimOWS(value), `"`)); v == "" || v == "deleted" { // PHP writes that
		return true
	}
	for a := range bytes.SplitSeq(attributes, []byte(";")) {
		n, v, _ := bytes.Cut(a, []byte("="))
		n, v = http1.TrimOWS(n), http1.TrimOWS(v)
		switch {
		case http1.EqualFold(n, "max-age"):
			if age, err := strconv.Atoi(string(v)); err == nil && age <= 0 {
				return true
			}
		case http1.EqualFold(n, "expires"):
			if t, err := http.ParseTime(string(v)); err == nil && t.Before(time.Now()) {
				return true
			}
			if t, err := time.Parse("Mon, 02-Jan-2006 15:04:05 MST", string(v)); err == nil && t.Before(time.Now()) {
				return true // as old apps write it
			}
		}
	}
	return false
}
