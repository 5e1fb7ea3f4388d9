package upgrade

import (
	"context"
	"log/slog"

	"holdfast/internal/request"
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
	return request.AddrText(a)
}
