// Package apptunnel is what is kept of a request that the app has answered with 101: who is told of the tunnel's end.
package apptunnel

import (
	"sync/atomic"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/balance"
	"holdfast/internal/park"
	"holdfast/internal/tracecontext"
)

// Tunnel is an open tunnel to an app. It implements tunnel.Owner.
type Tunnel struct {
	Loop    *park.Loop
	Open    *atomic.Int64   // how many there are
	Server  *balance.Server // counted there
	Lines   *balance.Lines  // of those who wait for a server
	Access  *accesslog.Log  // nil: none
	Entry   []byte          // begun line of it
	Started time.Time
	Trace   tracecontext.Context
}

// TunnelEnded implements tunnel.Owner.
func (t *Tunnel) TunnelEnded(bytes int64) {
	t.Open.Add(-1)
	t.Server.Release()
	t.Lines.Wake(t.Loop)
	now := t.Loop.Now()
	t.Access.End(t.Entry, &accesslog.Outcome{
		Status: 101, Bytes: bytes, Now: now, Started: t.Started, Upstream: t.Server.String(), AppTime: now.Sub(t.Started), Trace: &t.Trace,
	})
}
