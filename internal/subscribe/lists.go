package subscribe

import (
	"bytes"

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
