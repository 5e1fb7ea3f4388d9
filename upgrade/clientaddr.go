package upgrade

import (
	"context"
	"log/slog"
	"net/netip"
)

// logRejected logs a subscribe request that is rejected: the reason names the key to look at, if there is one.
func (k *Keeper) logRejected(level slog.Level, reason, client string, fields ...any) {
	k.o.Log.Log(context.Background(), level, "subscribe rejected", append([]any{"reason", reason, "client", client}, fields...)...)
}

// client returns the address of who has sent the connection's request, for the log: as in the access log, not the proxy's in
// front. It has a port only if that is known.
func (x *held) client() string {
	a, proxied := x.register().clients[x]
	if !proxied {
		a = x.c.RemoteAddr()
	}
	return addrText(a)
}

// addrText is an address for the log, without a port if that is not known.
func addrText(a netip.AddrPort) string {
	switch {
	case !a.IsValid():
		return "unix:"
	case a.Port() == 0:
		return a.Addr().Unmap().String()
	}
	return a.String()
}
