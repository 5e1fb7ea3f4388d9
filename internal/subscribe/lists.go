package subscribe

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
)

// listFields are the fields of a request that are lists and may come on several lines (RFC 9110 §5.3).
var listFields = []string{"Connection", "Upgrade", "Accept", "Prefer", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"}

// joinLists gives each list field of h one line without empty elements, at which the upgrader stops (RFC 9110 §5.6.1).
// It reads the lines from head, as fasthttp keeps only one of Connection.
func joinLists(h *fasthttp.RequestHeader, head []byte) {
	for _, name := range listFields {
		values := valuesOf(head, name)
		joined := bytes.Join(values, []byte(", "))
		if n := len(joined); n > 0 && (len(values) > 1 || joined[0] == ',' || joined[n-1] == ',') {
			h.Del(name)
			h.SetBytesV(name, withoutEmpty(joined))
		}
	}
}

// withoutEmpty leaves out the empty elements of a list.
func withoutEmpty(list []byte) []byte {
	var elements [][]byte
	for e := range bytes.SplitSeq(list, []byte(",")) {
		if e = http1.TrimOWS(e); len(e) > 0 {
			elements = append(elements, e)
		}
	}
	return bytes.Join(elements, []byte(", "))
}

// valuesOf returns the values of every line of a checked head with this name.
func valuesOf(head []byte, name string) (values [][]byte) {
	for line := range bytes.Lines(head) {
		if n, value, ok := bytes.Cut(line, []byte(":")); ok && http1.EqualFold(n, name) {
			values = append(values, http1.TrimOWS(bytes.TrimRight(value, "\r\n")))
		}
	}
	return values
}

// joinedValues is valuesOf in one line.
func joinedValues(head []byte, name string) []byte {
	return bytes.Join(valuesOf(head, name), []byte(", "))
}

// HasExactToken reports whether a list has a token, in this case.
func HasExactToken(list []byte, token string) bool {
	for t := range bytes.SplitSeq(list, []byte(",")) {
		if string(bytes.TrimSpace(t)) == token {
			return true
		}
	}
	return false
}

// preferredWait returns the value of the first preference wait (RFC 7240 §2: names in any case, values in quotes or
// not, parameters after a semicolon, and the first of a name counts). It is empty without one, and where the value
// is no number of seconds: a preference that cannot be met is ignored.
func preferredWait(prefer string) string {
	for p, rest := cutQuoted(prefer, ','); p != "" || rest != ""; p, rest = cutQuoted(rest, ',') {
		p, _ = cutQuoted(p, ';')
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

// cutQuoted is strings.Cut that looks for sep outside of quoted strings only (RFC 9110 §5.6.4).
func cutQuoted(s string, sep byte) (before, after string) {
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
