package proxy

import (
	"bytes"

	"holdfast/internal/syntax"
)

// rewrite changes what the app says of itself into what clients see: paths below Prefix into ones below Match, and
// URLs and cookies of the host that it was asked for by another name into ones of the client's.
func (x *exchange) rewrite(a *answer) {
	for i := range a.fields {
		f := &a.fields[i]
		switch {
		case syntax.EqualFold(f.name, "location"), syntax.EqualFold(f.name, "content-location"):
			f.value = x.seenURL(f.value)
		case syntax.EqualFold(f.name, "refresh"):
			f.value = x.seenRefresh(f.value)
		case syntax.EqualFold(f.name, "set-cookie"):
			f.value = x.seenCookie(f.value)
		}
	}
}

// seenURL is what a client is told instead of a URL of the app.
func (x *exchange) seenURL(v []byte) []byte {
	rest, ok := syntax.CutPrefixFold(v, "http://")
	if !ok {
		rest, ok = syntax.CutPrefixFold(v, "https://")
	}
	if !ok {
		rest, ok = bytes.CutPrefix(v, []byte("//"))
	}
	if !ok { // a path, or relative to one
		if len(v) > 0 && v[0] == '/' {
			return x.seenPath(v)
		}
		return v
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	switch {
	case x.route.Host == "" && syntax.EqualFold(authority, x.host): // the client's own
		return append(bytes.Clone(v[:len(v)-len(rest)+end]), x.seenPath(path)...)
	case syntax.EqualFold(authority, x.host), syntax.EqualFold(authority, x.route.first.Host):
		return x.seenPath(path) // of the same origin, whatever that is to the client
	}
	return v
}

// seenPath puts a path that is below Prefix below Match.
func (x *exchange) seenPath(path []byte) []byte {
	r := x.route
	n := len(r.prefix)
	if !r.mapped || len(path) < n || string(path[:n]) != r.prefix || len(path) > n && bytes.IndexByte([]byte("/?#"), path[n]) < 0 {
		return path
	}
	path = append([]byte(r.match), path[n:]...)
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	return path
}

// seenRefresh rewrites the URL of "5; url=/there".
func (x *exchange) seenRefresh(v []byte) []byte {
	semicolon := bytes.IndexAny(v, ";,")
	if semicolon < 0 {
		return v
	}
	rest := bytes.TrimLeft(v[semicolon+1:], " \t")
	url, ok := syntax.CutPrefixFold(rest, "url")
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
		name = syntax.TrimOWS(name)
		value = syntax.TrimOWS(value)
		switch {
		case i > 0 && ok && syntax.EqualFold(name, "path") && len(value) > 0 && value[0] == '/':
			seen := x.seenPath(value)
			if len(value) == 1 && len(seen) > 1 {
				seen = bytes.TrimSuffix(seen, []byte("/")) // also for Match itself
			}
			part = append([]byte(" Path="), seen...)
		case i > 0 && ok && syntax.EqualFold(name, "domain") && x.route.Host != "":
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
