package proxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/proxyheader"
	"holdfast/internal/wiretest"
)

func v2(command, family byte, rest string) string {
	n := binary.BigEndian.AppendUint16(nil, uint16(len(rest)))
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family}) + string(n) + rest
}

const (
	from4 = "\x01\x02\x03\x04\x7f\x00\x00\x01\x12\x34\x00\x50" // 1.2.3.4:4660 to 127.0.0.1:80
	from6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x34\x00\x50"
)

// TestProxyHeader sends PROXY headers whole and a byte at a time; "" as want is a reset.
func TestProxyHeader(t *testing.T) {
	tests := []struct{ name, sent, want string }{
		{"version 1, IPv4", "PROXY TCP4 1.2.3.4 127.0.0.1 4660 80\r\n", "1.2.3.4"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 4660 80\r\n", "2001:db8::1"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"version 1, unknown with words", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "127.0.0.1"},
		{"version 2, IPv4", v2(1, 0x11, from4), "1.2.3.4"},
		{"version 2, IPv4 with further fields", v2(1, 0x11, from4+"\x04\x00\x02ab"), "1.2.3.4"},
		{"version 2, IPv6", v2(1, 0x21, from6), "2001:db8::1"},
		{"version 2, local", v2(0, 0, ""), "127.0.0.1"},
		{"version 2, unix", v2(1, 0x31, strings.Repeat("x", 216)), "127.0.0.1"},
		{"none", "", ""},
		{"family and address disagree", "PROXY TCP4 2001:db8::1 ::1 4660 80\r\n", ""},
		{"bad port", "PROXY TCP4 1.2.3.4 127.0.0.1 66000 80\r\n", ""},
		{"a word too few", "PROXY TCP4 1.2.3.4 127.0.0.1 80\r\n", ""},
		{"too long", "PROXY TCP4 " + strings.Repeat("1", 100) + "\r\n", ""},
		{"version 2, short addresses", v2(1, 0x11, from4[:11]), ""},
		{"version 2, unknown command", v2(2, 0x11, from4), ""},
		{"version 2, longer than is read", v2(1, 0x11, from4+strings.Repeat("x", proxyheader.MaxBytes)), ""},
		{"version 3", strings.Replace(v2(1, 0x11, from4), "\x21", "\x31", 1), ""},
	}
	for _, tt := range tests {
		for _, bytewise := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte { return ok(r.Header.Get("X-Forwarded-For")) }))
				addr, p := start(t, u.Addr, trusting, func(o *Options) { o.ProxyProtocol = true })
				c := wiretest.Dial(t, addr)
				all := tt.sent + lines("GET / HTTP/1.1", "Host: x", "X-Forwarded-For: 6.6.6.6")
				if tt.want == "127.0.0.1" {
					all = strings.Replace(all, "X-Forwarded-For: 6.6.6.6\r\n", "", 1)
				}
				if tt.want == "" {
					_, err := io.WriteString(c, all) // the reset may come before the last of it
					if got, reset := c.Rest(); got != "" || !reset && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
						t.Errorf("answered %q, reset %v, %v; want a reset and nothing", got, reset, err)
					}
					if u.Sent() != "" || p.Stats().Refused != 1 {
						t.Errorf("the app was sent %q; %d refused", u.Sent(), p.Stats().Refused)
					}
					return
				}
				if bytewise {
					for i := range all {
						c.Send(all[i : i+1])
					}
				} else {
					c.Send(all)
				}
				if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != tt.want {
					t.Errorf("the app was told %q (%d); want %q", body, resp.StatusCode, tt.want)
				}
			})
		}
	}
}

// TestProxyHeaderTLS: a PROXY header of version 2 may tell that the client came by TLS (record 0x20).
func TestProxyHeaderTLS(t *testing.T) {
	const tls, noTLS, authority = "\x20\x00\x05\x01\x00\x00\x00\x00", "\x20\x00\x05\x00\x00\x00\x00\x00", "\x02\x00\x01x"
	for _, tt := range []struct{ name, sent, want string }{
		{"TLS", v2(1, 0x11, from4+tls), "https 443"},
		{"TLS over IPv6, behind another record", v2(1, 0x21, from6+authority+tls), "https 443"},
		{"no TLS", v2(1, 0x11, from4+noTLS), "http 80"},
		{"no record", v2(1, 0x11, from4), "http 80"},
		{"a record that is cut", v2(1, 0x11, from4+"\x20\x00\x05\x01"), "http 80"},
		{"an empty record", v2(1, 0x11, from4+"\x20\x00\x00"), "http 80"},
		{"behind a record that is cut", v2(1, 0x11, from4+"\x04\x00\xff"+tls), "http 80"},
		{"a health check, which has no client", v2(0, 0, tls), "http 80"},
		{"version 1", "PROXY TCP4 1.2.3.4 127.0.0.1 4660 443\r\n", "http 80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
				return ok(r.Header.Get("X-Forwarded-Proto") + " " + r.Header.Get("X-Forwarded-Port"))
			}))
			addr, _ := start(t, u.Addr, trusting, func(o *Options) { o.ProxyProtocol = true })
			c := wiretest.Dial(t, addr)
			c.Send(tt.sent)
			for range 2 { // it is a property of the connection
				c.Send(lines("GET / HTTP/1.1", "Host: x"))
				if _, body := c.Response(http.MethodGet); body != tt.want {
					t.Errorf("the app was told %q; want %q", body, tt.want)
				}
			}
		})
	}
}

// TestProxyHeaderFromUntrustedPeer: only trusted proxies may say who somebody is.
func TestProxyHeaderFromUntrustedPeer(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, p := start(t, u.Addr, func(o *Options) { o.ProxyProtocol = true })
	if c, err := net.Dial("tcp", addr); err == nil { // it may be reset before Dial looks
		defer c.Close()
	}
	wiretest.Eventually(t, "it is refused", func() bool { return p.Stats().Refused == 1 })
	if u.Sent() != "" {
		t.Errorf("the app was sent %q", u.Sent())
	}
}
