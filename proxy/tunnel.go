package proxy

import (
	"net/http"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/balance"
	"holdfast/internal/http1"
	"holdfast/internal/tunnel"
)

// switched is the state that a tunnel keeps of its exchange.
type switched struct {
	f       *Front
	server  *balance.Server // counted there
	entry   []byte          // begun line of the access log; nil without a log
	started time.Time
}

// switchProtocols ends the exchange in a tunnel (RFC 9110 §15.2.2).
func (s *httpSource) switchProtocols(a *http1.Answer, rest []byte) bool {
	if !s.x.upload.passedOn() || !a.SwitchesTo(s.upgrade) {
		s.x.fail(502, errExtra)
		return false
	}
	x, f := s.x, s.x.f
	x.push.Interim(a)
	x.route.Fields.Apply(a)
	b := append(a.AppendUpgrade(a.Append(f.loop.Out()[:0])), "\r\n"...)
	t := &switched{f: f, started: x.log.started, server: s.server}
	s.server = nil
	if f.p.o.Access != nil {
		t.entry = append(t.entry, x.log.line...)
	}
	client, app := tunnel.Leg{Conn: x.client.conn, Out: x.client.out}, tunnel.Leg{Conn: s.conn, Out: s.out}
	x.client.out, s.out, s.conn = nil, nil, nil
	early := append([]byte(nil), x.client.early...)
	tunnelTime := x.route.TunnelTime
	x.release()
	f.p.stats.tunnels.Add(1)
	f.responses.Add(http.StatusSwitchingProtocols)
	tunnel.Start(f.loop, t, tunnelTime, client, app, b, rest, early)
	return false
}

// TunnelEnded implements tunnel.Owner.
func (t *switched) TunnelEnded(bytes int64) {
	t.f.p.stats.tunnels.Add(-1)
	t.server.Release()
	t.f.p.lines.Wake(t.f.loop)
	now := t.f.loop.Now()
	t.f.p.o.Access.End(t.entry, &accesslog.Outcome{
		Status: 101, Bytes: bytes, Now: now, Started: t.started, Upstream: t.server.String(), AppTime: now.Sub(t.started),
	})
}
