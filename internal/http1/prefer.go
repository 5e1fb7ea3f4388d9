package http1

import "strings"

// PreferredWait returns the value of the first preference wait (RFC 7240 §2: names in any case, values in quotes or
// not, parameters after a semicolon, and the first of a name counts). It is empty without one, and where the value
// is no number of seconds: a preference that cannot be met is ignored.
func PreferredWait(prefer string) string {
	for p, rest := cutUnquoted(prefer, ','); p != "" || rest != ""; p, rest = cutUnquoted(rest, ',') {
		p, _ = cutUnquoted(p, ';')
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if strings.Trim(value, "0123456789") != "" {
			return ""
		}
		return value
	}
	return ""
}

// cutUnquoted is strings.Cut that looks for sep outside of quoted strings only (RFC 9110 §5.6.4).
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == sep:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
