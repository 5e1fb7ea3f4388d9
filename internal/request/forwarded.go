package request

import (
	"bytes"

	"holdfast/internal/http1"
)

// parseForwarded translates Forwarded (RFC 7239) to the other fields: the addresses as a list, and proto and host of
// the element that names the client.
func (rd *Reader) parseForwarded(value []byte) (said http1.Forwarding) {
	var list []byte
	client := false // the client was found; elements before it are ignored
	elements := splitQuoted(value, ',')
	for i := len(elements) - 1; i >= 0 && !client; i-- {
		var node, proto, host []byte
		for _, pair := range splitQuoted(elements[i], ';') {
			name, v, ok := bytes.Cut(pair, []byte("="))
			if !ok {
				continue
			}
			switch name, v = http1.TrimOWS(name), unquote(http1.TrimOWS(v)); {
			case http1.EqualFold(name, "for"):
				node = v
			case http1.EqualFold(name, "proto"):
				if _, ok := parseProto(v); ok {
					proto = v
				}
			case http1.EqualFold(name, "host") && http1.ValidHost(v):
				host = v
			}
		}
		a, ok := parseNode(node)
		if ok {
			if len(list) > 0 {
				list = append([]byte(", "), list...)
			}
			list = append(a.Addr().AppendTo(nil), list...)
		}
		client = !ok || !rd.Trusted(a.Addr())
		if len(proto) > 0 {
			said[http1.ForwardedProto] = proto
		}
		if len(host) > 0 {
			said[http1.ForwardedHost] = host
		}
	}
	said[http1.ForwardedFor] = list
	return said
}

// splitQuoted splits at sep outside quoted strings (RFC 9110 §5.6.4).
func splitQuoted(b []byte, sep byte) (parts [][]byte) {
	quoted, from := false, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			parts = append(parts, b[from:i])
			from = i + 1
		}
	}
	return append(parts, b[from:])
}

func unquote(b []byte) []byte {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return b
	}
	return bytes.ReplaceAll(b[1:len(b)-1], []byte(`\`), nil)
}
