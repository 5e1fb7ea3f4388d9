package request

import (
	"net/netip"
	"testing"
)

func TestAddrText(t *testing.T) {
	for want, a := range map[string]netip.AddrPort{
		"unix:":            {},
		"192.0.2.7":        netip.MustParseAddrPort("192.0.2.7:0"),
		"192.0.2.7:80":     netip.MustParseAddrPort("[::ffff:192.0.2.7]:80"),
		"2001:db8::1":      netip.MustParseAddrPort("[2001:db8::1]:0"),
		"[2001:db8::1]:80": netip.MustParseAddrPort("[2001:db8::1]:80"),
	} {
		if got := AddrText(a); got != want {
			t.Errorf("%v is %q, want %q", a, got, want)
		}
	}
}
