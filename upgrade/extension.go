package upgrade

import (
	"strings"

	"holdfast/internal/http1"
)

// deflateExtension is the name in Sec-WebSocket-Extensions (RFC 7692 §7).
const deflateExtension = "permessage-deflate"

// acceptDeflate returns the answer to the first offer of permessage-deflate that can be kept; false if there is
// none. Neither side takes over what came before: a message is deflated once for all, and a connection keeps nothing.
func acceptDeflate(fields [][]byte) (answer string, ok bool) {
	for _, field := range fields {
		for offer := range splitQuoted(string(field), ',') {
			if answer, ok = deflateAnswer(offer); ok {
				return answer, true
			}
		}
	}
	return "", false
}

// deflateAnswer answers one offer. A parameter that is unknown, comes twice or has a bad value makes the offer one
// to decline (RFC 7692 §7), and so does a window smaller than the one that all share.
func deflateAnswer(offer string) (answer string, ok bool) {
	answer = deflateExtension + "; server_no_context_takeover; client_no_context_takeover"
	first := true
	seen := map[string]bool{}
	for part := range splitQuoted(offer, ';') {
		name, value, valued := strings.Cut(part, "=")
		name, value = strings.ToLower(trim(name)), trim(value)
		if first {
			if name != deflateExtension || valued {
				return "", false
			}
			first = false
			continue
		}
		if seen[name] {
			return "", false
		}
		seen[name] = true
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return "", false
			}
		case "client_max_window_bits":
			if valued && windowBits(value) == 0 {
				return "", false
			}
		case "server_max_window_bits":
			if windowBits(value) != maxWindowBits {
				return "", false
			}
			answer += "; server_max_window_bits=15"
		default:
			return "", false
		}
	}
	return answer, !first
}

const maxWindowBits = 15

// windowBits reads 8 to 15 without leading zeros (RFC 7692 §7.1.2.1); zero for anything else.
func windowBits(s string) int {
	switch s {
	case "8", "9":
		return int(s[0] - '0')
	case "10", "11", "12", "13", "14", "15":
		return 10 + int(s[1]-'0')
	}
	return 0
}

func trim(s string) string { return string(http1.TrimOWS([]byte(s))) }

// splitQuoted yields the parts between separators that are not in a quoted string.
func splitQuoted(s string, sep byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := 0; i < len(s); i++ {
			switch {
			case quoted && s[i] == '\\':
				i++
			case s[i] == '"':
				quoted = !quoted
			case s[i] == sep && !quoted:
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(s[from:])
	}
}
