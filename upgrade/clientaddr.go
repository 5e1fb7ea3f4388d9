package upgrade

import "holdfast/internal/request"

// client returns the address of who has sent the connection's request, for the log: as in the access log, not the proxy's in
// front. It has a port only if that is known.
func (x *held) client() string {
	a, proxied := x.index().clients[x]
	if !proxied {
		a = x.c.RemoteAddr()
	}
	return request.AddrText(a)
}
