package rules

import "holdfast/internal/http1"

// keyed are fields of a request that are in every key. Apps answer otherwise with one than without, and forget to say so in
// Vary: it asks for a piece of a page, or frameworks take it for the path, the host or the scheme of the request. A client
// that sends one has an entry of its own.
var keyed = http1.NewNameSet(
	"x-host", "x-pjax", "x-scheme", "x-inertia", "hx-request", "turbo-frame", "x-forwarded", "x-url-scheme", "x-rewrite-url",
	"x-original-url", "x-original-uri", "x-original-host", "front-end-https", "x-requested-with", "x-http-host-override",
)

// isCredential reports whether a field of a request may say who it is from, as X-API-Key, X-Remote-User of a proxy in front
// and so on do: what one gets by it is no answer to others. Tokens against forgery of requests are not meant.
func isCredential(name []byte) bool {
	if len(name) < 4 || isHarmless(name) {
		return false
	}
	found := false
	for i := range name {
		rest := name[i:]
		switch name[i] | 0x20 {
		case 'a':
			found = found || begins(rest, "auth") || begins(rest, "assertion") || begins(rest, "account")
		case 'u':
			found = found || begins(rest, "user")
		case 't':
			found = found || begins(rest, "token") || begins(rest, "tenant")
		case 'k':
			found = found || begins(rest, "key")
		case 'c':
			found = found || begins(rest, "cert") || begins(rest, "client-")
			if begins(rest, "csrf") {
				return false
			}
		case 'x':
			if begins(rest, "xsrf") {
				return false
			}
		case 's':
			found = found || begins(rest, "session")
		case 'p':
			found = found || begins(rest, "principal")
		case 'j':
			found = found || begins(rest, "jwt")
		case 'o':
			found = found || begins(rest, "oidc")
		}
	}
	return found
}

func begins(b []byte, lower string) bool {
	return len(b) >= len(lower) && http1.EqualFold(b[:len(lower)], lower)
}

// isHarmless reports whether a field is one of those that browsers send, which are no credentials, or the session's own: it
// spares these the search.
func isHarmless(name []byte) bool {
	switch name[0] | 0x20 {
	case 'a':
		return begins(name, "accept") || len(name) == 13 && begins(name, "authorization")
	case 'c':
		switch len(name) {
		case 6:
			return begins(name, "cookie")
		case 10:
			return begins(name, "connection")
		case 13:
			return begins(name, "cache-control")
		}
		return begins(name, "content-")
	case 'h':
		return len(name) == 4
	case 'i':
		return begins(name, "if-")
	case 'o':
		return begins(name, "origin")
	case 'p':
		return begins(name, "pragma") || begins(name, "priority")
	case 'r':
		return begins(name, "referer")
	case 's':
		return begins(name, "sec-")
	case 'u':
		return begins(name, "user-agent") || begins(name, "upgrade")
	}
	return len(name) == 16 && begins(name, "x-requested-with")
}

// wanted returns which kinds of answers a value of Accept names, of those between which apps choose without saying so in
// Vary. A browser that goes to a page names HTML, and its scripts do not.
func wanted(accept []byte) (set byte) {
	for i, kind := range [...]string{"text/html", "application/json", "application/xml", "text/event-stream"} {
		if http1.HasToken(accept, kind) {
			set |= 1 << i
		}
	}
	return set
}

func isForwarded(name []byte) bool {
	_, ok := http1.CutPrefixFold(name, "x-forwarded-")
	return ok
}
