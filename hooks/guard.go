package hooks

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// ErrOpenBind is why a listener does not start: other machines can reach it, and it has no token.
var ErrOpenBind = errors.New("hooks: other machines can reach this listener: set hooks.token, or listen on loopback or a unix socket")

// CheckBind reports whether listen (host:port or unix:/path) may be listened on with this token: without
// one only loopback and unix sockets. A name other than localhost counts as one that others can reach.
func CheckBind(listen, token string) error {
	if token != "" || strings.HasPrefix(listen, "unix:") {
		return nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("hooks: listen: %w", err)
	}
	if !isLoopback(host) {
		return fmt.Errorf("listen on %s: %w", listen, ErrOpenBind)
	}
	return nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}

// canonicalHost returns a host name in the form in which names are compared here: lower case, addresses without
// brackets.
func canonicalHost(host string) string {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return strings.ToLower(host)
}

// checkHost refuses a Host that is not listed. If evil.test makes its name resolve to this machine (DNS rebinding),
// requests of its pages are same-origin here, and only their Host reveals them.
func checkHost(h *fasthttp.RequestHeader, a *access) error {
	host := string(h.Host())
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if port := host[i+1:]; port != "" && strings.Trim(port, "0123456789") == "" {
			name = host[:i]
		}
	}
	bare := canonicalHost(name)
	if strings.IndexByte(bare, ':') >= 0 && bare == strings.ToLower(name) {
		return fmt.Errorf("%w: %.100q; an IPv6 address stands in brackets", errHost, host)
	}
	if isLoopback(bare) || a.hosts[bare] {
		return nil
	}
	return fmt.Errorf("%w: %.100q; see hooks.hosts", errHost, host)
}

// isProbe reports whether a request is a probe or a scrape whose Host can't be one of a page: an IP address, as
// Kubernetes and Prometheus send a pod's, or none in HTTP/1.0. DNS rebinding needs a name, and browsers always send
// a Host.
func isProbe(h *fasthttp.RequestHeader, path string) bool {
	if path != "/healthz" && path != "/readyz" && path != "/metrics" || !h.IsGet() && !h.IsHead() {
		return false
	}
	host := string(h.Host())
	if host == "" {
		return !h.IsHTTP11()
	}
	if a, err := netip.ParseAddrPort(host); err == nil {
		return !a.Addr().IsUnspecified()
	}
	bare := canonicalHost(host)
	a, err := netip.ParseAddr(bare)
	return err == nil && a.Zone() == "" && !a.IsUnspecified() && (a.Is4() || bare != strings.ToLower(host))
}

// checkBrowser refuses requests that a browser sends for a page: a form or a fetch of any origin can reach a loopback
// address (CSRF), and this API is not for pages. An empty value is refused, too.
func checkBrowser(h *fasthttp.RequestHeader) error {
	for _, field := range [...]string{fasthttp.HeaderOrigin, secFetchSite} {
		if len(h.PeekAll(field)) > 0 && !(field == secFetchSite && isVisit(h)) {
			return fmt.Errorf("%w: the request has %s", errBrowser, field)
		}
	}
	return nil
}

const secFetchSite = "Sec-Fetch-Site"

// isVisit reports whether a browser sends the request for a person who has typed the address, or has followed a link of
// the page for people. The browser shows the response, which no other page can read. A GET changes nothing here.
func isVisit(h *fasthttp.RequestHeader) bool {
	only := func(name, value string) bool {
		list := h.PeekAll(name)
		return len(list) == 1 && string(list[0]) == value
	}
	return h.IsGet() && (only(secFetchSite, "none") || only(secFetchSite, "same-origin")) &&
		only("Sec-Fetch-Mode", "navigate") && only("Sec-Fetch-Dest", "document")
}

// checkToken checks the token. It compares in constant time, for any lengths.
func checkToken(h *fasthttp.RequestHeader, a *access) error {
	if !a.secret {
		return nil
	}
	const scheme = "Bearer "
	fields := h.PeekAll(fasthttp.HeaderAuthorization)
	if len(fields) != 1 || len(fields[0]) < len(scheme) || !strings.EqualFold(string(fields[0][:len(scheme)]), scheme) {
		return fmt.Errorf("%w: send it as Authorization: Bearer, see hooks.token", errToken)
	}
	sum := sha256.Sum256(fields[0][len(scheme):])
	if subtle.ConstantTimeCompare(sum[:], a.tokenSum[:]) != 1 {
		return fmt.Errorf("%w: it differs from hooks.token", errToken)
	}
	return nil
}
