package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"holdfast/internal/park"
)

// maxPreface bytes of a PROXY header are read: version 2 with its additional fields.
const maxPreface = 4 << 10

var (
	errPreface          = errors.New("malformed PROXY header")
	errPrefaceUntrusted = errors.New("PROXY header expected, but the peer is not in trusted_proxies")

	prefaceV1 = []byte("PROXY ")
	prefaceV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// preface is a connection that has to say first, in the PROXY protocol (version 1 or 2), whose it is.
type preface struct {
	f     *Front
	b     []byte
	timed bool
}

func (x *preface) Ready(c *park.Conn, ev park.Event) {
	if !x.timed {
		x.timed = true
		c.SetDeadline(x.f.p.o.HeaderTime)
		if !x.f.p.o.Trusted(c.RemoteAddr().Addr().Unmap()) {
			x.refuse(c, errPrefaceUntrusted)
			return
		}
	}
	if ev&park.Expired != 0 {
		x.refuse(c, errTimeout)
		return
	}
	if ev&park.Readable == 0 {
		return
	}
	in := x.f.loop.In()
	for {
		n, err := c.Read(in)
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			c.Close() // a health check of the balancer's, most likely
			return
		}
		x.b = append(x.b, in[:n]...)
		used, from, tls, err := parsePreface(x.b)
		if err != nil {
			x.refuse(c, err)
			return
		}
		if used > 0 {
			if from.IsValid() {
				c.SetRemoteAddr(from)
			}
			c.SetTLS(tls)
			c.SetDeadline(x.f.p.o.HeaderTime)
			c.Hold(x.f)
			if rest := x.b[used:]; len(rest) > 0 {
				x.f.take(c, rest, true)
			} else {
				x.f.read(c, true)
			}
			return
		}
	}
}

// refuse says nothing to the peer: it did not begin to speak HTTP.
func (x *preface) refuse(c *park.Conn, err error) {
	x.f.p.stats.refused.Add(1)
	x.f.p.o.Log.Warn("connection refused", "reason", err, "client", c.RemoteAddr())
	c.Abort()
}

// parsePreface returns the length of a complete header, or 0, and the client it names. Without an
// address (LOCAL, UNKNOWN, other families) the connection is the peer's own. tls says that the client came by TLS.
func parsePreface(b []byte) (used int, from netip.AddrPort, tls bool, err error) {
	switch {
	case bytes.HasPrefix(b, prefaceV2):
		return parsePrefaceV2(b)
	case bytes.HasPrefix(b, prefaceV1):
		used, from, err = parsePrefaceV1(b)
		return used, from, false, err
	case bytes.HasPrefix(prefaceV2, b), bytes.HasPrefix(prefaceV1, b):
		return 0, from, false, nil
	}
	return 0, from, false, errPreface
}

// parsePrefaceV1 parses "PROXY TCP4 source destination source-port destination-port\r\n", at most 107
// bytes.
func parsePrefaceV1(b []byte) (used int, from netip.AddrPort, err error) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 && len(b) < 107 {
		return 0, from, nil
	}
	if end < 0 || end > 105 {
		return 0, from, errPreface
	}
	parts := bytes.Split(b[:end], []byte(" "))
	if len(parts) >= 2 && string(parts[1]) == "UNKNOWN" {
		return end + 2, from, nil
	}
	if len(parts) != 6 {
		return 0, from, errPreface
	}
	addr, err := netip.ParseAddr(string(parts[2]))
	port, err2 := strconv.ParseUint(string(parts[4]), 10, 16)
	to, err3 := netip.ParseAddr(string(parts[3]))
	_, err4 := strconv.ParseUint(string(parts[5]), 10, 16)
	four := string(parts[1]) == "TCP4"
	if err != nil || err2 != nil || err3 != nil || err4 != nil || addr.Zone() != "" ||
		!four && string(parts[1]) != "TCP6" || addr.Is4() != four || to.Is4() != four {
		return 0, from, errPreface
	}
	return end + 2, netip.AddrPortFrom(addr, uint16(port)), nil
}

// parsePrefaceV2 parses the binary form: signature, version and command, family, length, addresses.
func parsePrefaceV2(b []byte) (used int, from netip.AddrPort, tls bool, err error) {
	if len(b) < 16 {
		return 0, from, false, nil
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if b[12]>>4 != 2 || b[12]&0xf > 1 || 16+n > maxPreface {
		return 0, from, false, errPreface
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
			return 0, from, false, errPreface
		}
		size = 12
		from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(a[8:]))
	case 0x21: // TCP over IPv6
		if n < 36 {
			return 0, from, false, errPreface
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

// cameByTLS looks for the record that says so. One that is cut ends the search: the length of the whole header
// stands, so nothing else is read in another way for it.
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
