package proxyheader

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func v2(command, family byte, rest string) string {
	n := binary.BigEndian.AppendUint16(nil, uint16(len(rest)))
	return string(signatureV2) + string([]byte{0x20 | command, family}) + string(n) + rest
}

const (
	from4 = "\x01\x02\x03\x04\x7f\x00\x00\x01\x12\x34\x00\x50" // 1.2.3.4:4660 to 127.0.0.1:80
	from6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x34\x00\x50"
)

// FuzzParse: whatever the pieces, the result is that of the whole; and it never reads past the end.
func FuzzParse(f *testing.F) {
	f.Add("PROXY TCP4 1.2.3.4 127.0.0.1 4660 80\r\nGET", 9)
	f.Add("PROXY UNKNOWN\r\n", 3)
	f.Add(v2(1, 0x11, from4)+"GET", 14)
	f.Add(v2(1, 0x21, from6+"\x04\x00\x00"), 20)
	f.Fuzz(func(t *testing.T, s string, cut int) {
		used, from, _, err := Parse([]byte(s))
		if used > len(s) || err != nil && used != 0 {
			t.Fatalf("used %d of %d, error %v", used, len(s), err)
		}
		if from != (netip.AddrPort{}) && !from.IsValid() {
			t.Fatalf("a strange address %v", from)
		}
		if cut < 0 || cut > used {
			return
		}
		if n, _, _, err := Parse([]byte(s[:cut])); used > 0 && cut < used && (n != 0 || err != nil) {
			t.Fatalf("%q is complete after %d bytes (%v); the whole is %d", s, n, err, used)
		}
	})
}
