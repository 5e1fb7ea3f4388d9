package http1

import "bytes"

// splitURL splits a URL into its scheme, empty for "//host/path", its authority, nil without one, and the rest.
func splitURL(v []byte) (scheme string, authority, rest []byte) {
	for _, scheme = range [...]string{"http", "https", ""} {
		front := scheme + "://"
		if scheme == "" {
			front = "//"
		}
		after, ok := CutPrefixFold(v, front)
		if !ok {
			continue
		}
		end := bytes.IndexAny(after, "/?#")
		if end < 0 {
			end = len(after)
		}
		return scheme, after[:end], after[end:]
	}
	return "", nil, nil
}

// sameAuthority reports whether a and b name the same host and port, where the scheme's own port may be left out.
func sameAuthority(scheme string, a, b []byte) bool {
	return EqualFold(withoutDefaultPort(scheme, a), string(withoutDefaultPort(scheme, b)))
}

// sameServer is sameAuthority for the address of an upstream, which may be written in several ways on its own machine.
func sameServer(scheme string, a, b []byte) bool {
	if len(a) == 0 || sameAuthority(scheme, a, b) {
		return len(a) > 0
	}
	nameA, portA := SplitHost(withoutDefaultPort(scheme, a))
	nameB, portB := SplitHost(withoutDefaultPort(scheme, b))
	return bytes.Equal(portA, portB) && isLoopback(nameA) && isLoopback(nameB)
}

func isLoopback(name []byte) bool {
	return EqualFold(name, "localhost") || string(name) == "127.0.0.1" || string(name) == "[::1]"
}

func withoutDefaultPort(scheme string, authority []byte) []byte {
	if scheme != "https" {
		if host, ok := bytes.CutSuffix(authority, []byte(":80")); ok {
			return host
		}
	}
	if scheme != "http" {
		authority, _ = bytes.CutSuffix(authority, []byte(":443"))
	}
	return bytes.TrimSuffix(authority, []byte(":"))
}

// hasPathPrefix reports whether a path, or the part of a URL after its authority, is at or below a prefix without a
// trailing slash.
func hasPathPrefix(path []byte, prefix string) bool {
	n := len(prefix)
	return len(path) >= n && string(path[:n]) == prefix && (len(path) == n || bytes.IndexByte([]byte("/?#"), path[n]) >= 0)
}
