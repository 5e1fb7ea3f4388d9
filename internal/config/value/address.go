package value

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// What the notation of a value is, for errors.
const (
	WantListen   = "host:port such as 127.0.0.1:8080, or unix:/path"
	WantUpstream = "http://host:port such as http://127.0.0.1:8081, https://host:port, http+unix:/path, fastcgi://host:port or fastcgi+unix:/path"
	WantPrefix   = "an address or a block such as 10.0.0.0/8"
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
			return fmt.Errorf("%w; want %s", err, WantListen)
		}
		*l = Listen{Network: "unix", Address: p}
		return nil
	}
	host, port, err := SplitHostPort(s)
	if err == nil && host != "" {
		err = CheckHost(host)
	}
	if err != nil {
		return fmt.Errorf("%w; want %s", err, WantListen)
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
	return IsLoopback(host)
}

// Upstream is where the app listens; Network and Address are what net.Dial takes.
type Upstream struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the socket's path
	Host    string // for a Host field that Holdfast writes itself; "localhost" for a socket
	FastCGI bool   // it speaks FastCGI, not HTTP
	TLS     bool   // it speaks HTTP over TLS
}

// UnmarshalText reads http://host[:port] or http+unix:/path, and the same with fastcgi, or https://host[:port].
func (u *Upstream) UnmarshalText(text []byte) error {
	parsed, err := ParseUpstream(string(text))
	if err != nil {
		return fmt.Errorf("%w; want %s", err, WantUpstream)
	}
	*u = parsed
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (u Upstream) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func (u Upstream) String() string {
	scheme := "http"
	switch {
	case u.FastCGI:
		scheme = "fastcgi"
	case u.TLS:
		scheme = "https"
	}
	if u.Network == "unix" {
		return scheme + "+unix:" + u.Address
	}
	return scheme + "://" + u.Host
}

// ParseUpstream reads the notation of Upstream.UnmarshalText.
func ParseUpstream(s string) (Upstream, error) {
	for _, scheme := range []string{"http", "fastcgi"} {
		if p, ok := strings.CutPrefix(s, scheme+"+unix:"); ok {
			if err := checkUnixPath(p); err != nil {
				return Upstream{}, err
			}
			return Upstream{Network: "unix", Address: p, Host: "localhost", FastCGI: scheme == "fastcgi"}, nil
		}
	}
	scheme, authority, _ := strings.Cut(s, "://")
	defaultPort, ok := map[string]string{"http": ":80", "https": ":443", "fastcgi": ":9000"}[scheme]
	switch {
	case !ok:
		return Upstream{}, fmt.Errorf("%s is not an upstream", Show(s))
	case strings.Contains(authority, "@"):
		// Not shown: it may be a password.
		return Upstream{}, errors.New("a user or password is not supported")
	case strings.ContainsAny(authority, "/?#"):
		rest := authority[strings.IndexAny(authority, "/?#"):]
		return Upstream{}, fmt.Errorf("%s after the host is not supported, as requests keep the path they came with", Show(rest))
	}
	hostPort := authority
	if _, _, err := net.SplitHostPort(authority); err != nil {
		hostPort = authority + defaultPort // if the port was not what is missing, the next line says so
	}
	host, port, err := SplitHostPort(hostPort)
	if err == nil {
		err = CheckHost(host)
	}
	if err == nil && (strings.Contains(host, "%") || port == "0") {
		err = fmt.Errorf("%s cannot be connected to", Show(authority))
	}
	if err != nil {
		return Upstream{}, err
	}
	return Upstream{Network: "tcp", Address: net.JoinHostPort(host, port), Host: authority, FastCGI: scheme == "fastcgi", TLS: scheme == "https"}, nil
}

// SplitHostPort splits host:port, with a port that is a number.
func SplitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("%s has no host:port", Show(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", fmt.Errorf("port %s is not a number from 0 to 65535", Show(port))
	}
	return host, strconv.FormatUint(n, 10), nil
}

// LettersDigits are those of ASCII.
const LettersDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// CheckHost accepts addresses and DNS names, with the underscore that container names have. A name whose last label is
// a number is a mistyped address.
func CheckHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	bad := fmt.Errorf("%s is neither an address nor a host name", Show(host))
	if len(host) > 253 {
		return bad
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, LettersDigits+"-_") != "" {
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
		return fmt.Errorf("%s is not the absolute path of a socket", Show(p))
	case len(p) > maxUnixPath:
		return fmt.Errorf("a socket's path of %d bytes is over the system's %d", len(p), maxUnixPath)
	case HasControl(p):
		return fmt.Errorf("%s has a control character", Show(p))
	}
	return nil
}

// ParsePrefix reads a block, or an address as the block of that one address.
func ParsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is not an address or a block; want %s", Show(s), WantPrefix)
	case p.Addr().Is4In6():
		// Peers are compared as IPv4, so this block would match no peer.
		return p, fmt.Errorf("%s is IPv4 inside IPv6; write it as IPv4", Show(s))
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits set behind its /%d; did you mean %s?", Show(s), p.Bits(), p.Masked())
	}
	return p, nil
}

// SameAddress reports whether connecting to b could reach a listener bound to a. Different names
// for one machine are not looked up; the names of this machine that everybody writes are known.
func SameAddress(aNetwork, a, bNetwork, b string) bool {
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
	aHost, bHost = CanonicalHost(aHost), CanonicalHost(bHost)
	switch aAny, bAny := isWildcard(aHost), isWildcard(bHost); {
	case aAny || bAny:
		return (aAny || IsLoopback(aHost)) && (bAny || IsLoopback(bHost))
	case aHost == "localhost" || bHost == "localhost":
		return IsLoopback(aHost) && IsLoopback(bHost)
	}
	return aHost == bHost
}

// CanonicalHost gives two spellings of one address, or of one name, the same text.
func CanonicalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(host)
}

// IsLoopback reports whether a name or an address is this machine's own.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func isWildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.Unmap().IsUnspecified()
}
