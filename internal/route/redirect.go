package route

import (
	"bytes"
	"strconv"
	"strings"

	"holdfast/internal/http1"
)

// RedirectStatus is the status of a redirect of a request: the method is kept if it is one that a browser would change.
func RedirectStatus(method []byte) int {
	if m := string(method); m != "GET" && m != "HEAD" {
		return 308
	}
	return 301
}

// RedirectStatus is the status of a redirect of a request by Redirect.
func (r *Route) RedirectStatus(method []byte) int {
	if r.Moved != 0 {
		return r.Moved
	}
	return RedirectStatus(method)
}

// SlashLocation is the Location of a request to a route's own path that lacks a slash.
func SlashLocation(h *http1.Head) []byte {
	b := append(append([]byte("Location: "), h.Path...), '/')
	return append(append(b, h.Target[len(h.Path):]...), "\r\n"...)
}

// Location is that of a request to a route that redirects. What has variables, or is for one path or a pattern, is the whole
// of it, and the query of the request follows unless it has one.
func (r *Route) Location(h *http1.Head) []byte {
	b := []byte("Location: ")
	if r.redirect == nil {
		to := append([]byte(strings.TrimRight(r.Redirect, "/")), r.rest(h.Target)...)
		return append(append(b, http1.OnlyPath(to)...), "\r\n"...)
	}
	to := r.redirect.Append(nil, r.values(h))
	if r.redirect.Start() == "" && (len(to) == 0 || to[0] != '/') {
		to = append([]byte("/"), to...) // or it could have a scheme
	}
	b = append(b, http1.OnlyPath(to)...)
	if query := h.Target[len(h.Path):]; len(query) > 0 && bytes.IndexByte(to, '?') < 0 {
		b = append(b, query...)
	}
	return append(b, "\r\n"...)
}

// HTTPSLocation is that of a request that has to come again by https: to a host[:port], of which the given port takes the
// place; 0: that of https. It is nil if there is no host, or if the target is not a path.
func HTTPSLocation(h *http1.Head, host []byte, port uint16) []byte {
	host, _ = http1.SplitHost(host)
	if len(host) == 0 || h.Path[0] != '/' {
		return nil
	}
	b := append([]byte("Location: https://"), host...)
	if port > 0 && port != 443 {
		b = strconv.AppendUint(append(b, ':'), uint64(port), 10)
	}
	return append(append(b, h.Target...), "\r\n"...)
}
