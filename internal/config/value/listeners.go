package value

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Listener is an address that clients connect to.
type Listener struct {
	Address       Listen `yaml:"address"`
	TLS           bool   `yaml:"tls"`
	RedirectHTTPS bool   `yaml:"redirect_https"`
}

// Listeners are all of them, at least one. In a file, one address stands for a list of it.
type Listeners []Listener

func (ls Listeners) String() string {
	var list []string
	for _, l := range ls {
		list = append(list, l.Address.String())
	}
	return strings.Join(list, ", ")
}

// MarshalYAML is the inverse of reading a file: an address alone where nothing else is said.
func (ls Listeners) MarshalYAML() (any, error) {
	var list []any
	for _, l := range ls {
		if l == (Listener{Address: l.Address}) {
			list = append(list, l.Address)
		} else {
			list = append(list, l)
		}
	}
	if len(list) == 1 && ls[0] == (Listener{Address: ls[0].Address}) {
		return list[0], nil
	}
	return list, nil
}

// Key returns what errors call entry i.
func (ls Listeners) Key(i int) string {
	if len(ls) == 1 {
		return "listen"
	}
	return fmt.Sprintf("listen[%d]", i)
}

// Unix reports whether one of them is a unix socket.
func (ls Listeners) Unix() bool {
	for _, l := range ls {
		if l.Address.Network == "unix" {
			return true
		}
	}
	return false
}

// Bind returns what net.Listen takes for entry i. An IPv4 address is of IPv4 only, and [::] is of both families unless
// another entry has the port for IPv4, which the system would refuse.
func (ls Listeners) Bind(i int) (network, address string) {
	l := ls[i].Address
	if l.Network != "tcp" {
		return l.Network, l.Address
	}
	host, port, _ := net.SplitHostPort(l.Address)
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
	case addr.Is4():
		return "tcp4", l.Address
	case addr == netip.IPv6Unspecified():
		for _, other := range ls {
			h, p, _ := net.SplitHostPort(other.Address.Address)
			if a, err := netip.ParseAddr(h); p == port && err == nil && a.Is4() {
				return "tcp6", l.Address
			}
		}
	}
	return "tcp", l.Address
}

// Overlap reports whether the system refuses b once a is open. [::] leaves IPv4 to an address of that, see Bind.
func Overlap(a, b Listen) bool {
	if a.Network != b.Network || a.Network == "unix" {
		return SameAddress(a.Network, a.Address, b.Network, b.Address)
	}
	aHost, aPort, _ := net.SplitHostPort(a.Address)
	bHost, bPort, _ := net.SplitHostPort(b.Address)
	if aPort != bPort || aPort == "0" {
		return false
	}
	aHost, bHost = CanonicalHost(aHost), CanonicalHost(bHost)
	covers := func(wide, one string) bool {
		addr, err := netip.ParseAddr(one)
		v4 := err == nil && addr.Is4() || one == "localhost"
		switch wide {
		case "":
			return true
		case "0.0.0.0":
			return v4
		case "::":
			return !v4
		}
		return wide == one || wide == "localhost" && one == "127.0.0.1"
	}
	return covers(aHost, bHost) || covers(bHost, aHost)
}

// Same returns the first address of listen that connecting to network and address could reach.
func (ls Listeners) Same(network, address string) (Listen, bool) {
	for _, l := range ls {
		if SameAddress(l.Address.Network, l.Address.Address, network, address) {
			return l.Address, true
		}
	}
	return Listen{}, false
}
