package access

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Addresses says which addresses may send requests. The most specific block that has an address decides, whatever the order.
// Nothing changes it, so any goroutine may use it.
type Addresses struct {
	blocks map[netip.Prefix]bool // whether it is allowed
	bits4  []int                 // lengths of the IPv4 blocks, longest first
	bits6  []int
	unix   bool // clients of a unix socket, which have no address
	rest   bool // all others
}

// ErrAddress is what all errors of NewAddresses are.
var ErrAddress = errors.New("bad address")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrAddress }

// parseBlock reads an address, a block, "all", or "unix:" for clients of a unix socket. An IPv4 address that is mapped into IPv6
// is the IPv4 address.
func parseBlock(s string) (p netip.Prefix, isUnix bool, err error) {
	switch s {
	case "all":
		return netip.Prefix{}, false, nil
	case "unix:":
		return netip.Prefix{}, true, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), false, nil
	}
	p, err = netip.ParsePrefix(s)
	if err != nil {
		return p, false, problem("is no address and no block of addresses")
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	} else if a.Is4In6() {
		return p, false, problem("is a block that has more than the IPv4 addresses that it maps")
	}
	if p != p.Masked() {
		return p, false, problem(fmt.Sprintf("has bits behind its length; want %s", p.Masked()))
	}
	return p, false, nil
}

// CheckAddress returns what is wrong with an entry of NewAddresses.
func CheckAddress(s string) error {
	_, _, err := parseBlock(s)
	return err
}

// IsAddress reports whether a text reads as an address or a block of addresses.
func IsAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	_, err2 := netip.ParsePrefix(s)
	return err == nil || err2 == nil
}

// NewAddresses compiles lists of addresses, blocks, "all" and "unix:". An address that no block has is allowed if allow is empty.
// It is nil, which allows everything, if both are empty.
func NewAddresses(allow, deny []string) (*Addresses, error) {
	if len(allow) == 0 && len(deny) == 0 {
		return nil, nil
	}
	x := &Addresses{blocks: map[netip.Prefix]bool{}, rest: len(allow) == 0, unix: len(allow) == 0}
	unix, rest := map[bool]bool{}, map[bool]bool{}
	for _, list := range []struct {
		entries []string
		allowed bool
	}{{allow, true}, {deny, false}} {
		for _, s := range list.entries {
			p, isUnix, err := parseBlock(s)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%q %w", s, err)
			case isUnix:
				unix[list.allowed] = true
			case !p.IsValid():
				rest[list.allowed] = true
			default:
				if was, ok := x.blocks[p]; ok && was != list.allowed {
					return nil, fmt.Errorf("%q %w", s, problem("is both allowed and denied"))
				}
				x.blocks[p] = list.allowed
			}
		}
	}
	if rest[true] && rest[false] || unix[true] && unix[false] {
		return nil, problem("the same is both allowed and denied")
	}
	if rest[true] || rest[false] {
		x.rest, x.unix = rest[true], rest[true]
	}
	if unix[true] || unix[false] {
		x.unix = unix[true]
	}
	for p := range x.blocks {
		if p.Addr().Is4() {
			x.bits4 = append(x.bits4, p.Bits())
		} else {
			x.bits6 = append(x.bits6, p.Bits())
		}
	}
	for _, bits := range []*[]int{&x.bits4, &x.bits6} {
		slices.SortFunc(*bits, func(a, b int) int { return b - a })
		*bits = slices.Compact(*bits)
	}
	return x, nil
}

// Allows reports whether a client may send requests. An invalid address is that of a client of a unix socket.
func (x *Addresses) Allows(a netip.Addr) bool {
	if x == nil {
		return true
	}
	if !a.IsValid() {
		return x.unix
	}
	a = a.Unmap().WithZone("")
	lengths := x.bits6
	if a.Is4() {
		lengths = x.bits4
	}
	for _, n := range lengths {
		p, _ := a.Prefix(n)
		if allowed, ok := x.blocks[p]; ok {
			return allowed
		}
	}
	return x.rest
}
