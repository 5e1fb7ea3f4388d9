package request

import "net/netip"

// AddrText is a client's address for the log, without a port if that is not known.
func AddrText(a netip.AddrPort) string {
	switch {
	case !a.IsValid():
		return "unix:"
	case a.Port() == 0:
		return a.Addr().Unmap().String()
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}
