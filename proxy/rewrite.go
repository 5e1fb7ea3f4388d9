package proxy

import (
	"bytes"

	"holdfast/internal/http1"
)

// rewrite changes what the app says of itself into what clients see: paths below Prefix into ones below Match, and
// URLs and cookies of the host that it was asked for by another name into ones of the client's.
func (x *exchange) rewrite(a *answer) {
	for i := range a.fields {
		f := &a.fields[i]
		switch {
		case http1.EqualFold(f.name, "location"), http1.EqualFold(f.name, "content-location"):
			f.value = x.seenURL(f.value)
		case http1.EqualFold(f.name, "refresh"):
			f.value = x.seenRefresh(f.value)
		case http1.EqualFold(f.name, "set-cookie"):
			f.value = x.seenCookie(f.value)
		}
	}
}

// seenURL is what a client is told instead of a URL of the app.
func (x *exchange) seenURL(v []byte) []byte {
	scheme, authority, path := splitURL(v)
	if authority == nil { // a path, or relative to one
		if len(v) > 0 && v[0] == '/' {
			return x.seenPath(v)
		}
		return v
	}
	front := v[:len(v)-len(path)]
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	switch {
	case x.route.Host == "" && sameAuthority(scheme, authority, []byte(x.host)): // the client's own
		return append(bytes.Clone(front), x.seenPath(path)...)
	case sameAuthority(scheme, authority, []byte(x.host)), sameAuthority(scheme, authority, []byte(x.route.first.Host)):
		return x.seenPath(path) // of the same origin, whatever that is to the client
	}
	return v
}

// splitURL takes a URL apart: its scheme, empty for "//host/path", its authority, and the rest. Without an authority
// that is nil.
func splitURL(v []byte) (scheme string, authority, rest []byte) {
	for _, scheme = range [...]string{"http", "https", ""} {
		front := scheme + "://"
		if scheme == "" {
			front = "//"
		}
		after, ok := http1.CutPrefixFold(v, front)
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
	return http1.EqualFold(withoutDefaultPort(scheme, a), string(withoutDefaultPort(scheme, b)))
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

// seenPath puts a path that is below Prefix below Match, unless it is there already: an app that heeds
// X-Forwarded-Prefix has done it.
func (x *exchange) seenPath(path []byte) []byte {
	r := x.route
	if !r.mapped || r.match != "" && hasPathPrefix(path, r.match) || !hasPathPrefix(path, r.prefix) {
		return path
	}
	path = append([]byte(r.match), path[len(r.prefix):]...)
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	return path
}

// hasPathPrefix reports whether a path, or what follows a URL's authority, is at or below a prefix without a slash
// at its end.
func hasPathPrefix(path []byte, prefix string) bool {
	n := len(prefix)
	return len(path) >= n && string(path[:n]) == prefix && (len(path) == n || bytes.IndexByte([]byte("/?#"), path[n]) >= 0)
}

// appDestination is what the app is told instead of the Destination of a WebDAV request, which is a URL as the client
// sees it: a path below Match becomes one below Prefix, and the client's Host the app's.
func (r *route) appDestination(v, host []byte) []byte {
	scheme, authority, path := splitURL(v)
	front := v[:len(v)-len(path)]
	switch {
	case authority == nil:
		front, path = nil, v
	case !sameAuthority(scheme, authority, host):
		return v
	case r.Host != "":
		front = append(bytes.Clone(front[:len(front)-len(authority)]), r.Host...)
	}
	if !hasPathPrefix(path, r.match) {
		return v
	}
	return r.appendTarget(bytes.Clone(front), path)
}

// seenRefresh rewrites the URL of "5; url=/there".
func (x *exchange) seenRefresh(v []byte) []byte {
	semicolon := bytes.IndexAny(v, ";,")
	if semicolon < 0 {
		return v
	}
	rest := bytes.TrimLeft(v[semicolon+1:], " \t")
	url, ok := http1.CutPrefixFold(rest, "url")
	if url = bytes.TrimLeft(url, " \t"); !ok || len(url) == 0 || url[0] != '=' {
		return v
	}
	url = bytes.TrimLeft(url[1:], " \t")
	var quote []byte
	if len(url) > 1 && (url[0] == '"' || url[0] == '\'') && url[len(url)-1] == url[0] {
		quote, url = url[:1], url[1:len(url)-1]
	}
	b := append(bytes.Clone(v[:semicolon]), "; url="...)
	return append(append(append(b, quote...), x.seenURL(url)...), quote...)
}

// seenCookie rewrites the Path of a cookie, and leaves out a Domain that is the app's own name: the cookie is then
// one of the client's.
func (x *exchange) seenCookie(v []byte) []byte {
	var b []byte
	for i, part := range bytes.Split(v, []byte(";")) {
		name, value, ok := bytes.Cut(part, []byte("="))
		name = http1.TrimOWS(name)
		value = http1.TrimOWS(value)
		switch {
		case i > 0 && ok && http1.EqualFold(name, "path") && len(value) > 0 && value[0] == '/':
			seen := x.seenPath(value)
			if len(value) == 1 && len(seen) > 1 {
				seen = bytes.TrimSuffix(seen, []byte("/")) // also for Match itself
			}
			part = append([]byte(" Path="), seen...)
		case i > 0 && ok && http1.EqualFold(name, "domain") && x.route.Host != "":
			domain := bytes.TrimPrefix(value, []byte("."))
			if bytes.EqualFold(domain, withoutPort([]byte(x.host))) || bytes.EqualFold(domain, withoutPort([]byte(x.route.first.Host))) {
				continue
			}
		}
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, part...)
	}
	return b
}
