package inject

import (
	"bytes"
	"strings"

	"holdfast/internal/http1"
)

// maxNonces is how many nonces of a response's policies are tried.
const maxNonces = 8

// wantsIntegrity reports whether an Integrity-Policy, which is a dictionary (RFC 9651 §3.2), blocks scripts without an integrity
// of their own.
func wantsIntegrity(policy []byte) bool {
	_, list, _ := bytes.Cut(policy, []byte("blocked-destinations=("))
	list, _, _ = bytes.Cut(list, []byte(")"))
	for _, destination := range bytes.Fields(list) {
		if string(destination) == "script" {
			return true
		}
	}
	return false
}

// allowed reports whether the policies of a response (CSP level 3) let the page run the script, and with which nonce, if
// it needs one or there is one. Every policy must allow it, in whichever field or element of a list it came.
func (r *Rule) allowed(fields []http1.Field, o Origin) (nonce string, ok bool) {
	var limits []sources
	for _, value := range http1.AppendValues(nil, fields, "content-security-policy") {
		for policy := range bytes.SplitSeq(value, []byte(",")) {
			list, limited, sandboxed := scriptSources(policy)
			if sandboxed {
				return "", false
			}
			if limited {
				limits = append(limits, list)
			}
		}
	}
	if len(limits) == 0 {
		return "", true
	}
	tried := 0
	for _, list := range limits {
		for _, source := range list {
			if nonce, is := nonceOf(source); is && tried < maxNonces {
				if tried++; r.allAllow(limits, nonce, o) {
					return nonce, true
				}
			}
		}
	}
	return "", r.allAllow(limits, "", o)
}

func (r *Rule) allAllow(limits []sources, nonce string, o Origin) bool {
	for _, list := range limits {
		if !list.allow(nonce, o, r.path) {
			return false
		}
	}
	return true
}

// sources is the list of a directive.
type sources [][]byte

// scriptSources returns the list that a policy has for script elements, and whether it has one. sandboxed says that the
// page can't run scripts at all.
func scriptSources(policy []byte) (list sources, limited, sandboxed bool) {
	best := 0
	sandbox := false
	for directive := range bytes.SplitSeq(policy, []byte(";")) {
		words := bytes.Fields(directive)
		if len(words) == 0 {
			continue
		}
		rank := 0
		switch name := words[0]; {
		case http1.EqualFold(name, "script-src-elem"):
			rank = 3
		case http1.EqualFold(name, "script-src"):
			rank = 2
		case http1.EqualFold(name, "default-src"):
			rank = 1
		case http1.EqualFold(name, "sandbox") && !sandbox:
			sandbox, sandboxed = true, true
			for _, flag := range words[1:] {
				sandboxed = sandboxed && !http1.EqualFold(flag, "allow-scripts")
			}
		}
		if rank > best { // of two with one name the first counts
			best, list = rank, words[1:]
		}
	}
	return list, best > 0, sandboxed
}

// nonceOf returns the nonce of a source that is one.
func nonceOf(source []byte) (nonce string, ok bool) {
	rest, ok := http1.CutPrefixFold(source, "'nonce-")
	if !ok || len(rest) < 2 || rest[len(rest)-1] != '\'' {
		return "", false
	}
	rest = rest[:len(rest)-1]
	value := bytes.TrimRight(rest, "=")
	for _, c := range value {
		if !http1.IsHex(c) && !(c|0x20 >= 'a' && c|0x20 <= 'z') && c != '+' && c != '/' && c != '-' && c != '_' {
			return "", false
		}
	}
	return string(rest), len(value) > 0 && len(rest)-len(value) <= 2
}

// allow reports whether the list allows a script of this path on the page's own origin, with a nonce unless that is empty.
func (s sources) allow(nonce string, o Origin, path string) bool {
	matched, strict := false, false
	for _, source := range s {
		if own, is := nonceOf(source); is && own == nonce {
			return true
		}
		strict = strict || http1.EqualFold(source, "'strict-dynamic'") // which takes places out of account
		matched = matched || o.matches(source, path)
	}
	return matched && !strict
}

// matches reports whether a source that is a place has the script in it (CSP §6.7.2.8). In doubt it has not.
func (o Origin) matches(source []byte, path string) bool {
	s := string(source)
	switch {
	case strings.EqualFold(s, "'self'") || s == "*":
		return true
	case strings.HasPrefix(s, "'"):
		return false
	case strings.HasSuffix(s, ":"):
		return o.matchesScheme(s[:len(s)-1])
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if s = rest; !o.matchesScheme(scheme) {
			return false
		}
	}
	s, within, _ := strings.Cut(s, "/")
	if within != "" && path[1:] != within && !(strings.HasSuffix(within, "/") && strings.HasPrefix(path[1:], within)) {
		return false
	}
	host, port := splitPort(s)
	ownHost, ownPort := splitPort(o.Host)
	if ownPort == "" {
		ownPort = o.defaultPort()
	}
	switch {
	case port == "*" || port == ownPort:
	case port == "" && ownPort == o.defaultPort():
	case port == "80" && ownPort == "443" && strings.EqualFold(o.Scheme, "https"):
	default:
		return false
	}
	if below, ok := strings.CutPrefix(host, "*."); ok {
		n := len(ownHost) - len(below)
		return n > 1 && ownHost[n-1] == '.' && strings.EqualFold(ownHost[n:], below)
	}
	return host == "*" || host != "" && strings.EqualFold(host, ownHost)
}

// matchesScheme reports whether a policy's scheme is the page's, or one that it is a safer form of.
func (o Origin) matchesScheme(scheme string) bool {
	return strings.EqualFold(scheme, o.Scheme) || strings.EqualFold(scheme, "http") && strings.EqualFold(o.Scheme, "https")
}

func (o Origin) defaultPort() string {
	if strings.EqualFold(o.Scheme, "https") {
		return "443"
	}
	return "80"
}

// splitPort cuts the port off a host. That of an IPv6 address keeps its brackets.
func splitPort(host string) (name, port string) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		return host[:i], host[i+1:]
	}
	return host, ""
}
