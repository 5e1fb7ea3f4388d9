package value

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

// ParseOrigin returns the origin as browsers send it: lower case, no default port.
func ParseOrigin(s string) (string, error) {
	scheme, authority, ok := strings.Cut(strings.ToLower(s), "://")
	switch {
	case s == "*":
		return "", errors.New(`"*" is not supported: any web page could then use its visitors' logins here; list each origin`)
	case s == "null":
		return "", errors.New(`"null" is not supported: sandboxed frames of any web page send it; list each origin`)
	case !ok || scheme == "" || strings.Trim(scheme, LettersDigits+"+-.") != "":
		return "", fmt.Errorf("%s is not an origin; want %s", Show(s), wantOrigin)
	case strings.Contains(authority, "*"):
		return "", fmt.Errorf("%s has a *; list each origin", Show(s))
	case strings.ContainsAny(authority, "/?#@"):
		return "", fmt.Errorf("%s has more than scheme, host and port; want %s", Show(s), wantOrigin)
	}
	host, port := strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]"), ""
	var err error
	if _, _, missing := net.SplitHostPort(authority); missing == nil {
		host, port, err = SplitHostPort(authority)
	}
	if err == nil {
		err = CheckHost(host)
	}
	if err != nil {
		return "", fmt.Errorf("%w; want %s", err, wantOrigin)
	}
	if strings.Contains(host, ":") {
		host = "[" + CanonicalHost(host) + "]"
	}
	if port == "" || port == defaultPorts[scheme] {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}
