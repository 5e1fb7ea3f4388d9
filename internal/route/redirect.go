package route

import (
	"bytes"
	"strconv"

	"holdfast/internal/http1"
)

// RedirectStatus is the status of a redirect of a request: the method is kept if it is one that a browser would change.
func RedirectStatus(method []byte) int {
	if m := string(method); m != "GET" && m != "HEAD" {
		return 308
	}
	return 301
}

// SlashLocation is the Location of a request to a route's own path that lacks a slash.
func SlashLocation(h *http1.Head) []byte {
	b := append(append([]byte("Location: "), h.Path...), '/')
	return append(append(b, h.Target[len(h.Path):]...), "\r\n"...)
}

// Location is that of a request to a route that redirects.
func (r *Route) Location(h *http1.Head) []byte {
	b := append([]byte("Location: "), bytes.TrimRight([]byte(r.Redirect), "/")...)
	return append(append(b, r.Below(h.Target)...), "\r\n"...)
}

// HTTPSLocation is that of a request that has to come again by https: to a host[:port], of which the given port takes the
// place; 0: that of https. It is nil if there is no host.
func HTTPSLocation(h *http1.Head, host []byte, port uint16) []byte {
	host, _ = http1.SplitHost(host)
	if len(host) == 0 {
		return nil
	}
	b := append([]byte("Location: https://"), host...)
	if port > 0 && port != 443 {
		b = strconv.AppendUint(append(b, ':'), uint64(port), 10)
	}
	return append(append(b, h.Target...), "\r\n"...)
}
