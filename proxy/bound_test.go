package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// iis is an app that logs in connections: who has sent an Authorization of scheme on one is the user of all that
// follows on it.
func iis(t *testing.T, scheme, challenge string) *wiretest.Upstream {
	return wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		user := "nobody"
		wiretest.Answer(func(r *http.Request, _ []byte) []byte {
			if a := r.Header.Get("Authorization"); strings.HasPrefix(a, scheme+" ") {
				user = strings.TrimPrefix(a, scheme+" ")
			}
			body := fmt.Sprint(c.Index, " ", user)
			if user == "nobody" && challenge != "" {
				return fmt.Appendf(nil, "HTTP/1.1 401 Unauthorized\r\n%sContent-Length: %d\r\n\r\n%s", challenge, len(body), body)
			}
			return ok(body)
		})(c)
	})
}

// TestConnectionLoginIsOneClients: no client is served as the user who logged in on a connection for another one, and
// who has logged in stays so.
func TestConnectionLoginIsOneClients(t *testing.T) {
	for _, tt := range []struct{ name, scheme, challenge string }{
		{"NTLM", "NTLM", "WWW-Authenticate: NTLM\r\n"},
		{"Negotiate", "Negotiate", "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"},
		{"one of a list", "Negotiate", "WWW-Authenticate: Basic realm=\"x\", negotiate\r\n"},
		{"with data", "NTLM", "www-authenticate: ntlm TlRMTVNTUAAC\r\n"},
		{"without a challenge", "NTLM", ""},
		{"lower case", "negotiate", ""},
	} {
		for _, trusted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, trusted proxy %v", tt.name, trusted), func(t *testing.T) {
				u := iis(t, tt.scheme, tt.challenge)
				addr, p := start(t, u.Addr, func(o *Options) {
					o.Pool = 2 // one of each loop
					o.PoolIdle = 30 * time.Second
					o.Trusted = func(netip.Addr) bool { return trusted }
				})
				anna := wiretest.Dial(t, addr)
				ask := func(c *wiretest.Client, fields ...string) string {
					c.Send(lines(append([]string{"GET / HTTP/1.1", "Host: x"}, fields...)...))
					_, body := c.Response(http.MethodGet)
					_, user, _ := strings.Cut(body, " ")
					return user
				}
				ask(anna)
				if got := ask(anna, "Authorization: "+tt.scheme+" anna"); got != "anna" {
					t.Fatalf("anna is %s", got)
				}
				for range 8 { // on either loop
					if got := ask(wiretest.Dial(t, addr)); got != "nobody" {
						t.Fatalf("another client is %s", got)
					}
				}
				want := "anna"
				if trusted { // it may have brought another client's request
					want = "nobody"
				}
				if got := ask(anna); got != want {
					t.Errorf("anna's next request is %s's; want %s", got, want)
				}
				anna.Close()
				for range 8 {
					if got := ask(wiretest.Dial(t, addr)); got != "nobody" {
						t.Fatalf("another client is %s after anna left", got)
					}
				}
				if n := p.Stats().Upstreams[0].Notices; n["login_bound"]+n["login_closed"] == 0 {
					t.Errorf("notices: %v", n)
				}
			})
		}
	}
}

// TestBoundConnectionEnds: the client's next request goes to a new one.
func TestBoundConnectionEnds(t *testing.T) {
	u := iis(t, "NTLM", "")
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	for i := range 3 {
		c.Send(lines("GET / HTTP/1.1", "Host: x", "Authorization: NTLM anna"))
		if _, body := c.Response(http.MethodGet); body != fmt.Sprint(i, " anna") {
			t.Fatalf("answer %d: %q", i, body)
		}
		u.Conns()[i].Conn.Close()
	}
}
