package access

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		allow, deny string
		yes, no     string // "-" is a client of a unix socket
	}{
		{"", "", "192.0.2.1 2001:db8::1 -", ""},
		{"10.0.0.0/8", "", "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3", "11.0.0.0 9.255.255.255 ::1 2001:db8::1 ::10.1.2.3 -"},
		{"192.168.1.0/24", "192.168.1.1", "192.168.1.0 192.168.1.2", "192.168.1.1 ::ffff:192.168.1.1 192.168.2.1"},
		{"all 10.0.0.5", "10.0.0.0/8", "10.0.0.5 11.0.0.1 2001:db8::1 -", "10.0.0.4 ::ffff:10.0.0.4"},
		{"", "2001:db8::/32 unix:", "2001:db9::1 192.0.2.1", "2001:db8::1 2001:db8:ffff::2 2001:db8::1%eth0 -"},
		{"2001:db8::/32 2001:db8:1:2::/64 unix:", "2001:db8:1::/48", "2001:db8::1 2001:db8:1:2::3 -", "2001:db8:1:3::1 10.0.0.1 ::1"},
		{"::ffff:10.0.0.0/104", "::ffff:10.0.0.7", "10.2.3.4", "10.0.0.7 11.0.0.1"},
		{"", "all", "", "127.0.0.1 ::1 -"},
		{"127.0.0.1", "all", "127.0.0.1", "127.0.0.2 ::1 -"},
		{"0.0.0.0/0", "", "1.2.3.4 ::ffff:1.2.3.4", "::1 -"},
		{"::/0", "", "::1 2001:db8::1", "1.2.3.4 ::ffff:1.2.3.4"},
	} {
		x, err := NewAddresses(strings.Fields(tt.allow), strings.Fields(tt.deny))
		if err != nil {
			t.Errorf("allow %s, deny %s: %v", tt.allow, tt.deny, err)
			continue
		}
		for want, list := range map[bool]string{true: tt.yes, false: tt.no} {
			for _, s := range strings.Fields(list) {
				a, _ := netip.ParseAddr(s)
				if x.Allows(a) != want {
					t.Errorf("allow %s, deny %s: %s is allowed: %v", tt.allow, tt.deny, s, !want)
				}
			}
		}
	}
}

func TestAddressErrors(t *testing.T) {
	for _, tt := range []struct{ allow, deny, want string }{
		{"10.0.0.1/8", "", "want 10.0.0.0/8"},
		{"10.0.0", "", "is no address"},
		{"localhost", "", "is no address"},
		{"10.0.0.0/33", "", "is no address"},
		{"fe80::1%eth0", "", "is no address"},
		{"::ffff:0:0/90", "", "has more than"},
		{"010.0.0.1", "", "is no address"},
		{"10.0.0.0/8", "10.0.0.0/8", "both allowed and denied"},
		{"10.0.0.1", "::ffff:10.0.0.1", "both allowed and denied"},
		{"all", "all", "both allowed and denied"},
		{"unix:", "unix:", "both allowed and denied"},
	} {
		_, err := NewAddresses(strings.Fields(tt.allow), strings.Fields(tt.deny))
		if !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("allow %s, deny %s: error %v; want %q", tt.allow, tt.deny, err, tt.want)
		}
	}
}

// FuzzAddresses: an address has the answer of the longest block that has it, found one by one.
func FuzzAddresses(f *testing.F) {
	f.Add("10.0.0.0/8 all", "10.1.0.0/16 2001:db8::/32", "10.1.2.3")
	f.Add("::ffff:1.2.3.4", "all", "1.2.3.4")
	f.Fuzz(func(t *testing.T, allow, deny, addr string) {
		a, err := netip.ParseAddr(addr)
		x, err2 := NewAddresses(strings.Fields(allow), strings.Fields(deny))
		if err != nil || err2 != nil || x == nil {
			return
		}
		a = a.Unmap().WithZone("")
		want, longest := len(strings.Fields(allow)) == 0, -1
		for allowed, list := range map[bool]string{true: allow, false: deny} {
			for _, s := range strings.Fields(list) {
				p, isUnix, _ := parseBlock(s)
				switch {
				case isUnix:
				case !p.IsValid() && longest < 0:
					want = allowed
				case p.Contains(a) && p.Bits() > longest:
					want, longest = allowed, p.Bits()
				}
			}
		}
		if x.Allows(a) != want {
			t.Errorf("allow %q, deny %q: %s is allowed: %v", allow, deny, addr, !want)
		}
	})
}
