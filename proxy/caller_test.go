package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// trusting believes loopback peers and 10.0.0.0/8.
func trusting(o *Options) {
	inside := netip.MustParsePrefix("10.0.0.0/8")
	o.Trusted = func(a netip.Addr) bool { return a.IsLoopback() || inside.Contains(a) }
}

// TestForwardingFields compares what the app is told of the caller.
func TestForwardingFields(t *testing.T) {
	tests := []struct {
		name    string
		trusted bool
		fields  []string
		want    string // For, Real-IP, Proto, Host
	}{
		{"nobody in between", false, nil, "127.0.0.1|127.0.0.1|http|x"},
		{"forged in four spellings", false, []string{"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "X-FORWARDED-PROTO: https",
			"X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6;proto=https;host=evil", "X-Forwarded-Host: evil"}, "127.0.0.1|127.0.0.1|http|x"},
		{"a trusted proxy", true, []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com"},
			"1.2.3.4, 127.0.0.1|1.2.3.4|https|www.example.com"},
		{"a client that forged, then two trusted proxies", true, []string{"X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-For: 10.0.0.7"},
			"6.6.6.6, 1.2.3.4, 10.0.0.7, 127.0.0.1|1.2.3.4|http|x"},
		{"all of them trusted", true, []string{"X-Forwarded-For: 10.0.0.8, 10.0.0.7"}, "10.0.0.8, 10.0.0.7, 127.0.0.1|10.0.0.8|http|x"},
		{"unknown ends the search", true, []string{"X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.7"}, "6.6.6.6, unknown, 10.0.0.7, 127.0.0.1|10.0.0.7|http|x"},
		{"ports and brackets", true, []string{"X-Forwarded-For: [2001:db8::1]:443, 10.0.0.7:80"}, "[2001:db8::1]:443, 10.0.0.7:80, 127.0.0.1|2001:db8::1|http|x"},
		{"only X-Real-IP", true, []string{"X-Real-IP: 1.2.3.4"}, "127.0.0.1|1.2.3.4|http|x"},
		{"Forwarded", true, []string{`Forwarded: for=6.6.6.6;proto=http, for="[2001:db8::17]:4711";proto=https;host="www.example.com"`, "forwarded: for=10.0.0.7"},
			"2001:db8::17, 10.0.0.7, 127.0.0.1|2001:db8::17|https|www.example.com"},
		{"Forwarded with quoted separators", true, []string{`Forwarded: ext="a,b;c\"d";for=1.2.3.4`}, "1.2.3.4, 127.0.0.1|1.2.3.4|http|x"},
		{"Forwarded obfuscated", true, []string{`Forwarded: for=_hidden;proto=https`}, "127.0.0.1|127.0.0.1|https|x"},
		{"X-Forwarded-For counts more than Forwarded", true, []string{"X-Forwarded-For: 1.2.3.4", "Forwarded: for=5.6.7.8;proto=https"}, "1.2.3.4, 127.0.0.1|1.2.3.4|http|x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := wiretest.NewUpstream(t, wiretest.Answer(func(r *http.Request, _ []byte) []byte {
				for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Proto", "X-Forwarded-Host"} {
					if len(r.Header[name]) > 1 {
						t.Errorf("%s came %d times", name, len(r.Header[name]))
					}
				}
				if r.Header.Get("Forwarded") != "" {
					t.Error("Forwarded was passed on")
				}
				return ok(strings.Join([]string{r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Real-Ip"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host")}, "|"))
			}))
			addr, _ := start(t, u.Addr, func(o *Options) {
				if tt.trusted {
					trusting(o)
				}
			})
			c := wiretest.Dial(t, addr)
			c.Send(lines(append([]string{"GET / HTTP/1.1", "Host: x"}, tt.fields...)...))
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || body != tt.want {
				t.Errorf("the app was told %q (%d); want %q", body, resp.StatusCode, tt.want)
			}
		})
	}
}
