package http1

import "bytes"

// ValidHost reports whether h is uri-host [":" port] (RFC 9110 §7.2). It may have no userinfo, no list, and no escaped
// delimiter.
func ValidHost(h []byte) bool {
	if len(h) == 0 || len(h) > 255 {
		return false
	}
	name, port := h, []byte(nil)
	if h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		if end < 3 {
			return false
		}
		for _, c := range h[1:end] {
			if !IsHex(c) && c != ':' && c != '.' {
				return false
			}
		}
		name, port = nil, h[end+1:]
		if len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if i := bytes.IndexByte(h, ':'); i >= 0 {
		name, port = h[:i], h[i:]
		if i == 0 {
			return false
		}
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '%' {
			if i+2 >= len(name) || !IsHex(name[i+1]) || !IsHex(name[i+2]) {
				return false
			}
			if c = HexValue(name[i+1])<<4 | HexValue(name[i+2]); c >= 0x80 {
				c = '_' // of a name in UTF-8 (RFC 3986 §3.2.2)
			}
			i += 2
		}
		if !IsDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && bytes.IndexByte([]byte(".-_~"), c) < 0 {
			return false
		}
	}
	if len(port) > 6 {
		return false
	}
	for i, c := range port {
		if i > 0 && !IsDigit(c) {
			return false
		}
	}
	return true
}

// SplitHost splits an authority into name and port. port has no colon, and is empty without one.
func SplitHost(host []byte) (name, port []byte) {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i], host[i+1:]
	}
	return host, nil
}
