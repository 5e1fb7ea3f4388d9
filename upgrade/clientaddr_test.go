package upgrade_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestClientInLog: a held connection is logged with who has sent its request, as in the access log, and not with the
// proxy in front. Without a trusted proxy that is the other end, whatever a field says.
func TestClientInLog(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trusted func(netip.Addr) bool
		want    string
	}{
		{"behind a trusted proxy", netip.Addr.IsLoopback, "client=192.0.2.7\n"},
		{"directly", nil, "client=127.0.0.1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := new(wiretest.Log)
			w := startBehind(t, tt.trusted, func(o *upgrade.Options) {
				o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			c := w.hold(t, "sse", "channel=public.a", "X-Forwarded-For: 192.0.2.7")
			w.waitHeld(t, 1)
			c.Conn.Close()
			w.waitHeld(t, 0)
			wiretest.Eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), "connection closed") })
			if text := log.String(); !strings.Contains(text, tt.want) || !strings.Contains(text, "transport=sse") {
				t.Errorf("logged %s; want %s", text, tt.want)
			}
		})
	}
}
