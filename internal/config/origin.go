package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

const wantOrigin = "scheme://host[:port] such as https://www.example.com"

// defaultPorts are left out of the Origin that a browser sends, so one in the file would never
// match.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// parseOrigin returns the origin as browsers send it: lower case, no default port.
func parseOrigin(s string) (string, error) {
	scheme, authority, ok := strings.Cut(strings.ToLower(s), "://")
	switch {
	case s == "*":
		return "", errors.New(`"*" is not supported: any web page could then use its visitors' logins here; list each origin`)
	case s == "null":
		return "", errors.New(`"null" is not supported: sandboxed frames of any web page send it; list each origin`)
	case !ok || scheme == "" || strings.Trim(scheme, lettersDigits+"+-.") != "":
		return "", fmt.Errorf("%s is not an origin; want %s", show(s), wantOrigin)
	case strings.Contains(authority, "*"):
		return "", fmt.Errorf("%s has a *; list each origin", show(s))
	case strings.ContainsAny(authority, "/?#@"):
		return "", fmt.Errorf("%s has more than scheme, host and port; want %s", show(s), wantOrigin)
	}
	host, port := strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]"), ""
	var err error
	if _, _, missing := net.SplitHostPort(authority); missing == nil {
		host, port, err = splitHostPort(authority)
	}
	if err == nil {
		err = checkHost(host)
	}
	if err != nil {
		return "", fmt.Errorf("%w; want %s", err, wantOrigin)
	}
	if strings.Contains(host, ":") {
		host = "[" + canonicalHost(host) + "]"
	}
	if port == "" || port == defaultPorts[scheme] {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}
