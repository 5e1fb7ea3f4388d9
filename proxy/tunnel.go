package proxy

import (
	"net/http"

	"holdfast/internal/apptunnel"
	"holdfast/internal/http1"
	"holdfast/internal/tunnel"
)

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
	t := &apptunnel.Tunnel{Loop: f.loop, Open: &x.p.stats.Tunnels, Server: s.server, Lines: x.p.lines, Access: x.p.o.Access, Started: x.log.started, Trace: x.log.trace}
	s.server = nil
	t.Entry = append(t.Entry, x.log.line...) // empty without a log
	client, app := tunnel.Leg{Conn: x.client.conn, Out: x.client.out}, tunnel.Leg{Conn: s.conn, Out: s.out}
	x.client.out, s.out, s.conn = nil, nil, nil
	early := append([]byte(nil), x.client.early...)
	tunnelTime := x.route.TunnelTime
	x.release()
	x.p.stats.Tunnels.Add(1)
	f.responses.Add(http.StatusSwitchingProtocols)
	tunnel.Start(f.loop, t, tunnelTime, client, app, b, rest, early)
	return false
}
