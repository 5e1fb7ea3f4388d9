package request

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

// said joins field lines as the head check does.
func said(t *testing.T, lines []string) (host []byte, s http1.Forwarding) {
	t.Helper()
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%q is no field", line)
		}
		if strings.EqualFold(name, "host") {
			host = []byte(value)
		}
		for i, n := range http1.ForwardingNames {
			if http1.EqualFold([]byte(name), n) {
				if s[i] != nil {
					s[i] = append(append([]byte{}, s[i]...), ", "...)
				}
				s[i] = append(s[i], value...)
			}
		}
	}
	return host, s
}

func TestRead(t *testing.T) {
	inside := netip.MustParsePrefix("10.0.0.0/8")
	plain := Reader{Trusted: inside.Contains, Listen: 8080}
	outside := plain
	outside.HTTPS = true
	mapped := outside
	mapped.Port = 8443
	const proxy, stranger = "10.0.0.1:5000", "192.0.2.7:4711"
	tests := []struct {
		name   string
		reader *Reader
		peer   string
		tls    bool
		fields []string
		want   string // client scheme://host port, X-Forwarded-Port; * after the scheme if it was declared
	}{
		{"a client", &plain, stranger, false, []string{"Host: app.test"}, "192.0.2.7:4711 http://app.test 80 80"},
		{"a client on a port", &plain, stranger, false, []string{"Host: app.test:8080"}, "192.0.2.7:4711 http://app.test:8080 8080 8080"},
		{"no Host", &plain, stranger, false, nil, "192.0.2.7:4711 http:// 8080 8080"},
		{"a client that lies", &plain, stranger, false, []string{"Host: app.test", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
			"X-Forwarded-Port: 1", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6;proto=https"}, "192.0.2.7:4711 http://app.test 80 80"},
		{"Forwarded alone", &plain, proxy, false, []string{"Host: backend", "Forwarded: for=192.0.2.7;proto=https;host=app.test"}, "192.0.2.7:0 https*://app.test 443 443"},
		{"Forwarded with wss", &plain, proxy, false, []string{"Host: app.test", "Forwarded: for=192.0.2.7;proto=WSS"}, "192.0.2.7:0 https*://app.test 443 443"},
		{"Forwarded of a client, let pass", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: http", "Forwarded: for=6.6.6.6;proto=https;host=evil"}, "10.0.0.1:5000 http*://app.test 80 80"},
		{"wss", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: wss"}, "10.0.0.1:5000 https*://app.test 443 443"},
		{"ws", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: ws"}, "10.0.0.1:5000 http*://app.test 80 80"},
		{"HTTPS", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: HTTPS"}, "10.0.0.1:5000 https*://app.test 443 443"},
		{"a list without spaces", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: https,https"}, "10.0.0.1:5000 https*://app.test 443 443"},
		{"on two lines", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: https", "X-Forwarded-Proto: https"}, "10.0.0.1:5000 https*://app.test 443 443"},
		{"contradiction: the last counts", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: https, http"}, "10.0.0.1:5000 http*://app.test 80 80"},
		{"the other way round", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: http, https"}, "10.0.0.1:5000 https*://app.test 443 443"},
		{"no scheme", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: https,"}, "10.0.0.1:5000 http://app.test 80 80"},
		{"another scheme", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: ftp"}, "10.0.0.1:5000 http://app.test 80 80"},
		{"Host list", &plain, proxy, false, []string{"Host: b", "X-Forwarded-Host: a, a"}, "10.0.0.1:5000 http://a 80 80"},
		{"Host list of a client that began it", &plain, proxy, false, []string{"Host: b", "X-Forwarded-Host: evil", "X-Forwarded-Host: a"}, "10.0.0.1:5000 http://a 80 80"},
		{"not a host", &plain, proxy, false, []string{"Host: b", "X-Forwarded-Host: a@b/c"}, "10.0.0.1:5000 http://b 80 80"},
		{"port", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"}, "10.0.0.1:5000 https*://app.test 8443 8443"},
		{"port list", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Port: 1, 8443"}, "10.0.0.1:5000 http://app.test 8443 8443"},
		{"no port", &plain, proxy, false, []string{"Host: app.test", "X-Forwarded-Port: +80"}, "10.0.0.1:5000 http://app.test 80 80"},
		{"a mapped port: Host counts, the word is passed on", &plain, proxy, false, []string{"Host: app.test:8443", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"}, "10.0.0.1:5000 https*://app.test:8443 8443 443"},
		{"client with a port", &plain, proxy, false, []string{"Host: a", "X-Forwarded-For: 6.6.6.6, 192.0.2.7:99, 10.0.0.2"}, "192.0.2.7:99 http://a 80 80"},
		{"X-Real-IP", &plain, proxy, false, []string{"Host: a", "X-Real-IP: 192.0.2.7"}, "192.0.2.7:0 http://a 80 80"},
		{"PROXY header of TLS", &plain, stranger, true, []string{"Host: app.test"}, "192.0.2.7:4711 https*://app.test 443 443"},
		{"outside is https", &outside, stranger, false, []string{"Host: app.test"}, "192.0.2.7:4711 https://app.test 443 443"},
		{"outside is https on a port, which Host lacks", &mapped, stranger, false, []string{"Host: app.test"}, "192.0.2.7:4711 https://app.test 8443 8443"},
		{"outside is https on a port, and Host says which", &mapped, stranger, false, []string{"Host: app.test:444"}, "192.0.2.7:4711 https://app.test:444 444 444"},
		{"a trusted proxy knows better than the setting", &mapped, proxy, false, []string{"Host: app.test", "X-Forwarded-Proto: http"}, "10.0.0.1:5000 http*://app.test 80 80"},
		{"a stranger does not", &mapped, stranger, false, []string{"Host: app.test", "X-Forwarded-Proto: http"}, "192.0.2.7:4711 https://app.test 8443 8443"},
		{"IPv6", &plain, "[::ffff:192.0.2.7]:4711", false, []string{"Host: [::1]:81"}, "192.0.2.7:4711 http://[::1]:81 81 81"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host, s := said(t, tt.fields)
			var r Request
			tt.reader.Read(&r, netip.MustParseAddrPort(tt.peer), tt.tls, host, &s)
			declared := ""
			if r.Declared {
				declared = "*"
			}
			got := r.Client.String() + " " + r.Scheme() + declared + "://" + string(r.Host) + " " + strconv.Itoa(int(r.Port)) + " " + strconv.Itoa(int(r.ForwardedPort()))
			if got != tt.want {
				t.Errorf("read as %s; want %s", got, tt.want)
			}
		})
	}
}

// TestWithholds: an app is not told two schemes, whoever says so, and a stranger's word on how it came is nobody's.
func TestWithholds(t *testing.T) {
	for _, tt := range []struct {
		field          string
		trusted, https bool
		want           bool
	}{
		{"X-Forwarded-Ssl: on", true, true, false},
		{"X-Forwarded-Ssl: On", true, false, true},
		{"X-Forwarded-Ssl: off", true, true, true},
		{"x-forwarded-ssl: off", true, false, false},
		{"X-Forwarded-Scheme: https", true, true, false},
		{"X-Forwarded-Scheme: https, http", true, true, true},
		{"X-FORWARDED-PROTOCOL: ssl", true, false, true},
		{"X-Forwarded-Protocol: http, wss", true, true, false},
		{"X-Forwarded-Protocol:", true, true, true},
		{"X-Forwarded-Prefix: /a", true, false, false},
		{"X-Forwarded-Server: proxy", true, false, false},
		{"X-Forwarded-User: anna", true, false, false},
		{"X-Forwarded-Ssl: off", false, false, true},
		{"X-Forwarded-Server: evil", false, false, true},
		{"X-Forwarded-User: evil", false, true, true},
		{"Front-End-Https: on", false, false, true},
		{"front-end-https: On", true, true, false},
		{"X-Url-Scheme: https", true, false, true},
		{"X-Original-URL: /admin", false, false, true},
		{"x-rewrite-url: /admin", false, false, true},
		{"X-Original-URI: /admin", false, true, true},
		{"X-Original-Host: evil", false, false, true},
		{"X-Original-URL: /a", true, false, false},
		{"X-HTTP-Method-Override: PUT", false, false, false},
		{"From: a@b", false, false, false},
		{"X-Forward: 1", false, false, false},
		{"Cookie: a", false, false, false},
	} {
		name, value, _ := strings.Cut(tt.field, ":")
		r := Request{Trusted: tt.trusted, HTTPS: tt.https}
		if got := r.withholds(&http1.Field{Name: []byte(name), Value: []byte(strings.TrimSpace(value))}); got != tt.want {
			t.Errorf("%s, trusted %v, https %v: withheld %v, want %v", tt.field, tt.trusted, tt.https, got, tt.want)
		}
	}
}
