package http1

import "bytes"

// Mapping translates between the paths and the host that clients see and those that the app receives.
type Mapping struct {
	Match  string // the prefix that clients see, without a trailing slash
	Prefix string // the prefix that the app receives, without a trailing slash
	Mapped bool   // Match and Prefix differ
	Host   string // the Host that the app receives; empty: the client's
	Own    string // the app's own host[:port]
	HasURL bool   // http://Own is the app's URL on this side, which is of no use to clients
}

// Asked has the hosts of a request, for the app and from the client.
type Asked struct {
	Host   []byte // the one that the app received: the client's, or Mapping.Host; empty: none
	Client []byte // the one that the client used, from a trusted proxy or from Host; empty: none
	HTTPS  bool   // the client used https
}

// Set fills in a with copies of host and client. It reuses the bytes of a.
func (a *Asked) Set(m *Mapping, host, client []byte, https bool) {
	a.Host, a.Client, a.HTTPS = append(a.Host[:0], host...), append(a.Client[:0], client...), https
	if m.Host != "" {
		a.Host = append(a.Host[:0], m.Host...)
	}
}

// Maps reports whether the app receives other paths, or another host, than clients see.
func (m *Mapping) Maps() bool { return m.Mapped || m.Host != "" }

// Rewrites reports whether responses may have to be rewritten.
func (m *Mapping) Rewrites() bool { return m.Maps() || m.HasURL }

// AppHost returns the Host for a request without one, of HTTP/1.0.
func (m *Mapping) AppHost() string {
	if m.Host != "" {
		return m.Host
	}
	return m.Own
}

// AppendTarget appends a target at or below Match as the app receives it.
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

// Rewrite translates the URLs and cookies of a response for clients: paths below Prefix become paths below Match, and
// the host that the app received, or its own address, becomes the client's. own is the host[:port] of the upstream that
// has responded.
func (m *Mapping) Rewrite(a *Answer, asked *Asked, own string) {
	for i := range a.Fields {
		f := &a.Fields[i]
		switch {
		case EqualFold(f.Name, "location"), EqualFold(f.Name, "content-location"):
			f.Value = m.seenURL(f.Value, asked, own)
		case EqualFold(f.Name, "refresh"):
			f.Value = m.seenRefresh(f.Value, asked, own)
		case m.Maps() && EqualFold(f.Name, "set-cookie"):
			f.Value = m.seenCookie(f.Value, asked.Host, own)
		}
	}
}

// seenURL translates a URL of the app for clients.
func (m *Mapping) seenURL(v []byte, asked *Asked, own string) []byte {
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
	named := sameAuthority(scheme, authority, asked.Host)
	switch {
	case m.Host == "" && named: // the client's own
		if !m.Mapped {
			return v
		}
		return append(bytes.Clone(front), m.seenPath(path)...)
	case !named && !sameServer(scheme, authority, []byte(own)):
		return v
	case scheme == "https" && !asked.HTTPS: // the app redirects to https; a path alone would lead back to it for ever
		host, _ := SplitHost(asked.Client)
		if len(host) == 0 {
			return v
		}
		return append(append([]byte("https://"), host...), m.seenPath(path)...)
	}
	return OnlyPath(m.seenPath(path)) // a path is enough, as it is of the client's own origin
}

// OnlyPath makes a path valid without an authority: one that begins with two slashes would name a host. What does not begin
// with a slash stays as it is.
func OnlyPath(path []byte) []byte {
	if len(path) == 0 || path[0] != '/' {
		return path
	}
	if rest := bytes.TrimLeft(path[1:], "\t"); len(rest) > 0 && (rest[0] == '/' || rest[0] == '\\') {
		return append([]byte("/."), path...)
	}
	return path
}

// seenPath translates a path below Prefix to one below Match, unless it is below Match already: an app that reads
// X-Forwarded-Prefix has done so.
func (m *Mapping) seenPath(path []byte) []byte {
	if !m.Mapped || m.Match != "" && hasPathPrefix(path, m.Match) || !hasPathPrefix(path, m.Prefix) {
		return path
	}
	path = append([]byte(m.Match), path[len(m.Prefix):]...)
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	return OnlyPath(path)
}

// Destination translates the Destination of a WebDAV request, a URL as the client sees it, for the app: a path below
// Match becomes one below Prefix, and the client's Host the app's.
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

// seenRefresh rewrites the URL of "5; url=/there", found as browsers do (WHATWG HTML, "shared declarative refresh
// steps"): "5,/there", "5 '/there'" and "5;URL = /there" have one too. What is around it stays as it is.
func (m *Mapping) seenRefresh(v []byte, asked *Asked, own string) []byte {
	rest := bytes.TrimLeft(v, "0123456789. \t")
	if len(rest) == len(v) || len(rest) == 0 {
		return v // no time, or nothing behind it
	}
	if rest[0] == ';' || rest[0] == ',' {
		rest = trimLeftOWS(rest[1:])
	} else if c := v[len(v)-len(rest)-1]; c != ' ' && c != '\t' {
		return v
	}
	if after, ok := CutPrefixFold(rest, "url"); ok {
		if after = trimLeftOWS(after); len(after) > 0 && after[0] == '=' {
			rest = trimLeftOWS(after[1:])
		}
	}
	url := rest
	if len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') {
		url, _, _ = bytes.Cut(rest[1:], rest[:1])
		rest = rest[1:]
	}
	begin := len(v) - len(rest)
	b := append(bytes.Clone(v[:begin]), m.seenURL(url, asked, own)...)
	return append(b, v[begin+len(url):]...)
}

// seenCookie translates the Path of a cookie, and drops a Domain that is the app's own name: the cookie is then for the
// host that the client uses.
func (m *Mapping) seenCookie(v, asked []byte, own string) []byte {
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
			if bytes.EqualFold(domain, hostname(asked)) || bytes.EqualFold(domain, hostname([]byte(own))) {
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

func hostname(authority []byte) []byte {
	name, _ := SplitHost(authority)
	return name
}
