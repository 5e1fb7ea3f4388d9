// Package proxyheader reads the header of the PROXY protocol, version 1 or 2, in which a proxy names its client.
package proxyheader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
)

// MaxBytes of a header are read: version 2 with its additional fields.
const MaxBytes = 4 << 10

// ErrMalformed means that the bytes are no valid PROXY header.
var ErrMalformed = errors.New("malformed PROXY header")

var (
	signatureV1 = []byte("PROXY ")
	signatureV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Parse returns the length of a complete header, or 0, and the client it names. Without an address (LOCAL, UNKNOWN,
// other families), the connection is the peer's own. tls means that the client used TLS.
func Parse(b []byte) (used int, from netip.AddrPort, tls bool, err error) {
	switch {
	case bytes.HasPrefix(b, signatureV2):
		return parseV2(b)
	case bytes.HasPrefix(b, signatureV1):
		used, from, err = parseV1(b)
		return used, from, false, err
	case bytes.HasPrefix(signatureV2, b), bytes.HasPrefix(signatureV1, b):
		return 0, from, false, nil
	}
	return 0, from, false, ErrMalformed
}

// parseV1 parses "PROXY TCP4 source destination source-port destination-port\r\n", at most 107
// bytes.
func parseV1(b []byte) (used int, from netip.AddrPort, err error) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 && len(b) < 107 {
		return 0, from, nil
	}
	if end < 0 || end > 105 {
		return 0, from, ErrMalformed
	}
	parts := bytes.Split(b[:end], []byte(" "))
	if len(parts) >= 2 && string(parts[1]) == "UNKNOWN" {
		return end + 2, from, nil
	}
	if len(parts) != 6 {
		return 0, from, ErrMalformed
	}
	addr, err := netip.ParseAddr(string(parts[2]))
	port, err2 := strconv.ParseUint(string(parts[4]), 10, 16)
	to, err3 := netip.ParseAddr(string(parts[3]))
	_, err4 := strconv.ParseUint(string(parts[5]), 10, 16)
	four := string(parts[1]) == "TCP4"
	if err != nil || err2 != nil || err3 != nil || err4 != nil || addr.Zone() != "" ||
		!four && string(parts[1]) != "TCP6" || addr.Is4() != four || to.Is4() != four {
		return 0, from, ErrMalformed
	}
	return end + 2, netip.AddrPortFrom(addr, uint16(port)), nil
}

// parseV2 parses the binary form: signature, version and command, family, length, addresses.
func parseV2(b []byte) (used int, from netip.AddrPort, tls bool, err error) {
	if len(b) < 16 {
		return 0, from, false, nil
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if b[12]>>4 != 2 || b[12]&0xf > 1 || 16+n > MaxBytes {
		return 0, from, false, ErrMalformed
	}
	if len(b) < 16+n {
		return 0, from, false, nil
	}
	if b[12]&0xf == 0 { // LOCAL
		return 16 + n, from, false, nil
	}
	a := b[16 : 16+n]
	size := 0 // of the addresses
	switch b[13] {
	case 0x11: // TCP over IPv4
		if n < 12 {
			return 0, from, false, ErrMalformed
		}
		size = 12
		from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(a[8:]))
	case 0x21: // TCP over IPv6
		if n < 36 {
			return 0, from, false, ErrMalformed
		}
		size = 36
		from = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a)).Unmap(), binary.BigEndian.Uint16(a[32:]))
	}
	if size > 0 {
		tls = cameByTLS(a[size:])
	}
	return 16 + n, from, tls, nil
}

// Records that may follow the addresses of version 2.
const (
	recordTLS    = 0x20 // its first byte has bits
	bitCameByTLS = 0x01
)

// cameByTLS looks for the record of TLS. A truncated record ends the search; the length of the whole header is valid
// nevertheless.
func cameByTLS(records []byte) bool {
	for len(records) >= 3 {
		n := int(binary.BigEndian.Uint16(records[1:]))
		if len(records) < 3+n {
			return false
		}
		if records[0] == recordTLS {
			return n > 0 && records[3]&bitCameByTLS != 0
		}
		records = records[3+n:]
	}
	return false
}
