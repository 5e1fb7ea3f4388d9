package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

const (
	wantListen   = "host:port such as 127.0.0.1:8080, or unix:/path"
	wantUpstream = "http://host:port such as http://127.0.0.1:8081, http+unix:/path, fastcgi://host:port or fastcgi+unix:/path"
	wantPrefix   = "an address or a block such as 10.0.0.0/8"
)

// maxUnixPath is sun_path of Linux without its final NUL.
const maxUnixPath = 107

// Listen is where a listener binds; Network and Address are what net.Listen takes. An address
// without a host is every interface, port 0 is one that the system chooses.
type Listen struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the socket's path
}

// UnmarshalText reads host:port or unix:/path.
func (l *Listen) UnmarshalText(text []byte) error {
	s := string(text)
	if p, ok := strings.CutPrefix(s, "unix:"); ok {
		if err := checkUnixPath(p); err != nil {
			return fmt.Errorf("%w; want %s", err, wantListen)
		}
		*l = Listen{Network: "unix", Address: p}
		return nil
	}
	host, port, err := splitHostPort(s)
	if err == nil && host != "" {
		err = checkHost(host)
	}
	if err != nil {
		return fmt.Errorf("%w; want %s", err, wantListen)
	}
	*l = Listen{Network: "tcp", Address: net.JoinHostPort(host, port)}
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (l Listen) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

func (l Listen) String() string {
	if l.Network == "unix" {
		return "unix:" + l.Address
	}
	return l.Address
}

// Local reports whether only this machine can reach the listener. A host name other than
// localhost counts as reachable from elsewhere, since what it resolves to may change.
func (l Listen) Local() bool {
	if l.Network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(l.Address)
	return isLoopback(host)
}

// Upstream is where the app listens; Network and Address are what net.Dial takes.
type Upstream struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the socket's path
	Host    string // for a Host field that Holdfast writes itself; "localhost" for a socket
	FastCGI bool   // it speaks FastCGI, not HTTP
}

// UnmarshalText reads http://host[:port] or http+unix:/path, and the same with fastcgi.
func (u *Upstream) UnmarshalText(text []byte) error {
	parsed, err := parseUpstream(string(text))
	if err != nil {
		return fmt.Errorf("%w; want %s", err, wantUpstream)
	}
	*u = parsed
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (u Upstream) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func (u Upstream) String() string {
	scheme := "http"
	if u.FastCGI {
		scheme = "fastcgi"
	}
	if u.Network == "unix" {
		return scheme + "+unix:" + u.Address
	}
	return scheme + "://" + u.Host
}

func parseUpstream(s string) (Upstream, error) {
	for _, scheme := range []string{"http", "fastcgi"} {
		if p, ok := strings.CutPrefix(s, scheme+"+unix:"); ok {
			if err := checkUnixPath(p); err != nil {
				return Upstream{}, err
			}
			return Upstream{Network: "unix", Address: p, Host: "localhost", FastCGI: scheme == "fastcgi"}, nil
		}
	}
	authority, ok := strings.CutPrefix(s, "http://")
	defaultPort, fast := ":80", false
	if !ok {
		authority, ok = strings.CutPrefix(s, "fastcgi://")
		defaultPort, fast = ":9000", true
	}
	switch {
	case strings.HasPrefix(s, "https:"):
		return Upstream{}, errors.New("https is not supported: use http on this machine or a private network")
	case !ok:
		return Upstream{}, fmt.Errorf("%s is not an upstream", show(s))
	case strings.Contains(authority, "@"):
		// Not shown: it may be a password.
		return Upstream{}, errors.New("a user or password is not supported")
	case strings.ContainsAny(authority, "/?#"):
		rest := authority[strings.IndexAny(authority, "/?#"):]
		return Upstream{}, fmt.Errorf("%s after the host is not supported, as requests keep the path they came with", show(rest))
	}
	hostPort := authority
	if _, _, err := net.SplitHostPort(authority); err != nil {
		hostPort = authority + defaultPort // if the port was not what is missing, the next line says so
	}
	host, port, err := splitHostPort(hostPort)
	if err == nil {
		err = checkHost(host)
	}
	if err == nil && (strings.Contains(host, "%") || port == "0") {
		err = fmt.Errorf("%s cannot be connected to", show(authority))
	}
	if err != nil {
		return Upstream{}, err
	}
	return Upstream{Network: "tcp", Address: net.JoinHostPort(host, port), Host: authority, FastCGI: fast}, nil
}

func splitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("%s has no host:port", show(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", fmt.Errorf("port %s is not a number from 0 to 65535", show(port))
	}
	return host, strconv.FormatUint(n, 10), nil
}

const lettersDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// checkHost accepts addresses and DNS names, with the underscore that container names have. A name whose last label is
// a number is a mistyped address.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	bad := fmt.Errorf("%s is neither an address nor a host name", show(host))
	if len(host) > 253 {
		return bad
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, lettersDigits+"-_") != "" {
			return bad
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return bad
	}
	return nil
}

func checkUnixPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//"):
		return fmt.Errorf("%s is not the absolute path of a socket", show(p))
	case len(p) > maxUnixPath:
		return fmt.Errorf("a socket's path of %d bytes is over the system's %d", len(p), maxUnixPath)
	case hasControl(p):
		return fmt.Errorf("%s has a control character", show(p))
	}
	return nil
}

// parsePrefix reads a block, or an address as the block of that one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is not an address or a block; want %s", show(s), wantPrefix)
	case p.Addr().Is4In6():
		// Peers are compared as IPv4, so this block would match no peer.
		return p, fmt.Errorf("%s is IPv4 inside IPv6; write it as IPv4", show(s))
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits set behind its /%d; did you mean %s?", show(s), p.Bits(), p.Masked())
	}
	return p, nil
}

// sameAddress reports whether connecting to b could reach a listener bound to a. Different names
// for one machine are not looked up; the names of this machine that everybody writes are known.
func sameAddress(aNetwork, a, bNetwork, b string) bool {
	if aNetwork != bNetwork {
		return false
	}
	if aNetwork == "unix" {
		return path.Clean(a) == path.Clean(b)
	}
	aHost, aPort, _ := net.SplitHostPort(a)
	bHost, bPort, _ := net.SplitHostPort(b)
	if aPort != bPort || aPort == "0" {
		return false
	}
	aHost, bHost = canonicalHost(aHost), canonicalHost(bHost)
	switch aAny, bAny := isWildcard(aHost), isWildcard(bHost); {
	case aAny || bAny:
		return (aAny || isLoopback(aHost)) && (bAny || isLoopback(bHost))
	case aHost == "localhost" || bHost == "localhost":
		return isLoopback(aHost) && isLoopback(bHost)
	}
	return aHost == bHost
}

// canonicalHost gives two spellings of one address, or of one name, the same text.
func canonicalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(host)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func isWildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.Unmap().IsUnspecified()
}
