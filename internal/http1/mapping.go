package http1

import "bytes"

// Mapping is how an app is asked for other paths, or by another name, than clients see.
type Mapping struct {
	Match  string // what clients see, without a slash at its end
	Prefix string // what the app is asked for instead, without a slash at its end
	Mapped bool   // they differ
	Host   string // what the app is asked for instead of the client's Host; empty: that
	Own    string // the app's own host[:port]
}

// Rewrites reports whether what the app says of its paths and names is not what clients see.
func (m *Mapping) Rewrites() bool { return m.Mapped || m.Host != "" }

// AppHost is the Host for a request that brings none, of HTTP/1.0.
func (m *Mapping) AppHost() string {
	if m.Host != "" {
		return m.Host
	}
	return m.Own
}

// AppendTarget writes a target at or below Match as the app is asked for it.
func (m *Mapping) AppendTarget(b, target []byte) []byte {
	if !m.Mapped {
		return append(b, target...)
	}
	rest := target[len(m.Match):]
	b = append(b, m.Prefix...)
	if m.Prefix == "" && (len(rest) == 0 || rest[0] != '/') {
		b = append(b, '/')
	}
	return append(b, rest...)
}

// Rewrite changes what the app says of itself into what clients see: paths below Prefix into ones below Match, and
// URLs and cookies of the host that it was asked for by another name into ones of the client's. asked is the Host that
// the app was sent.
func (m *Mapping) Rewrite(a *Answer, asked string) {
	for i := range a.Fields {
		f := &a.Fields[i]
		switch {
		case EqualFold(f.Name, "location"), EqualFold(f.Name, "content-location"):
			f.Value = m.seenURL(f.Value, asked)
		case EqualFold(f.Name, "refresh"):
			f.Value = m.seenRefresh(f.Value, asked)
		case EqualFold(f.Name, "set-cookie"):
			f.Value = m.seenCookie(f.Value, asked)
		}
	}
}

// seenURL is what a client is told instead of a URL of the app.
func (m *Mapping) seenURL(v []byte, asked string) []byte {
	scheme, authority, path := splitURL(v)
	if authority == nil { // a path, or relative to one
		if len(v) > 0 && v[0] == '/' {
			return m.seenPath(v)
		}
		return v
	}
	front := v[:len(v)-len(path)]
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	switch {
	case m.Host == "" && sameAuthority(scheme, authority, []byte(asked)): // the client's own
		return append(bytes.Clone(front), m.seenPath(path)...)
	case sameAuthority(scheme, authority, []byte(asked)), sameAuthority(scheme, authority, []byte(m.Own)):
		return m.seenPath(path) // of the same origin, whatever that is to the client
	}
	return v
}

// seenPath puts a path that is below Prefix below Match, unless it is there already: an app that heeds
// X-Forwarded-Prefix has done it.
func (m *Mapping) seenPath(path []byte) []byte {
	if !m.Mapped || m.Match != "" && hasPathPrefix(path, m.Match) || !hasPathPrefix(path, m.Prefix) {
		return path
	}
	path = append([]byte(m.Match), path[len(m.Prefix):]...)
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	return path
}

// Destination is what the app is told instead of the Destination of a WebDAV request, which is a URL as the client
// sees it: a path below Match becomes one below Prefix, and the client's Host the app's.
func (m *Mapping) Destination(v, host []byte) []byte {
	scheme, authority, path := splitURL(v)
	front := v[:len(v)-len(path)]
	switch {
	case authority == nil:
		front, path = nil, v
	case !sameAuthority(scheme, authority, host):
		return v
	case m.Host != "":
		front = append(bytes.Clone(front[:len(front)-len(authority)]), m.Host...)
	}
	if !hasPathPrefix(path, m.Match) {
		return v
	}
	return m.AppendTarget(bytes.Clone(front), path)
}

// seenRefresh rewrites the URL of "5; url=/there".
func (m *Mapping) seenRefresh(v []byte, asked string) []byte {
	semicolon := bytes.IndexAny(v, ";,")
	if semicolon < 0 {
		return v
	}
	rest := bytes.TrimLeft(v[semicolon+1:], " \t")
	url, ok := CutPrefixFold(rest, "url")
	if url = bytes.TrimLeft(url, " \t"); !ok || len(url) == 0 || url[0] != '=' {
		return v
	}
	url = bytes.TrimLeft(url[1:], " \t")
	var quote []byte
	if len(url) > 1 && (url[0] == '"' || url[0] == '\'') && url[len(url)-1] == url[0] {
		quote, url = url[:1], url[1:len(url)-1]
	}
	b := append(bytes.Clone(v[:semicolon]), "; url="...)
	return append(append(append(b, quote...), m.seenURL(url, asked)...), quote...)
}

// seenCookie rewrites the Path of a cookie, and leaves out a Domain that is the app's own name: the cookie is then
// one of the client's.
func (m *Mapping) seenCookie(v []byte, asked string) []byte {
	var b []byte
	for i, part := range bytes.Split(v, []byte(";")) {
		name, value, ok := bytes.Cut(part, []byte("="))
		name = TrimOWS(name)
		value = TrimOWS(value)
		switch {
		case i > 0 && ok && EqualFold(name, "path") && len(value) > 0 && value[0] == '/':
			seen := m.seenPath(value)
			if len(value) == 1 && len(seen) > 1 {
				seen = bytes.TrimSuffix(seen, []byte("/")) // also for Match itself
			}
			part = append([]byte(" Path="), seen...)
		case i > 0 && ok && EqualFold(name, "domain") && m.Host != "":
			domain := bytes.TrimPrefix(value, []byte("."))
			if bytes.EqualFold(domain, hostname(asked)) || bytes.EqualFold(domain, hostname(m.Own)) {
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

func hostname(authority string) []byte {
	name, _ := SplitHost([]byte(authority))
	return name
}
