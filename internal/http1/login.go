package http1

import (
	"bytes"
	"slices"
)

// LogsInConnection reports whether the value of Authorization or WWW-Authenticate names a scheme that logs in a
// connection, not a request (RFC 4559 §6).
func LogsInConnection(value []byte) bool {
	for part := range bytes.SplitSeq(value, []byte(",")) {
		part = TrimOWS(part)
		for _, scheme := range [...]string{"ntlm", "negotiate", "kerberos", "nego2"} {
			if rest, ok := CutPrefixFold(part, scheme); ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t') {
				return true
			}
		}
	}
	return false
}

// LogsIn reports whether a request with these fields logs in its connection.
func LogsIn(fields []Field) bool {
	var buf [4][]byte
	return slices.ContainsFunc(AppendValues(buf[:0], fields, "authorization"), LogsInConnection)
}
