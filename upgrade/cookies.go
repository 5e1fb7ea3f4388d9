package upgrade

import (
	"slices"
	"strings"
)

// replaceCookies returns the value of Cookie that a client sends after it has taken fields of Set-Cookie. What is taken
// back is gone.
func replaceCookies(cookie string, set []string) string {
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
		if takesBack([]byte(line)) {
			continue
		}
		if i < 0 || i > len(pairs) {
			i = len(pairs)
		}
		pairs = slices.Insert(pairs, i, name+"="+strings.Trim(value, " \t"))
	}
	return strings.Join(pairs, "; ")
}
