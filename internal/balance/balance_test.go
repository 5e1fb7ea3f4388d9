package balance

import (
	"io"
	"log/slog"
	"testing"
	"time"
)

// TestChoose goes through who is asked next: each step changes one thing.
func TestChoose(t *testing.T) {
	set := NewSet(Options{MaxFails: 2, FailTime: time.Minute, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	other := set.Add([]Upstream{{Network: "tcp", Address: "127.0.0.1:1"}}, nil)
	g := set.Add([]Upstream{
		{Network: "tcp", Address: "127.0.0.1:2", MaxConns: 1},
		{Network: "tcp", Address: "127.0.0.1:3", MaxConns: 1},
		{Network: "tcp", Address: "127.0.0.1:4", Backup: true},
	}, nil)
	now := time.Unix(1000, 0)
	a, b, backup := set.Servers()[1], set.Servers()[2], set.Servers()[3]
	want := func(what string, tried uint64, sticky int, server *Server, isFull bool) {
		t.Helper()
		if got, full := g.Choose(tried, sticky, now); got != server || full != isFull {
			t.Errorf("%s: %v, full %v; want %v, %v", what, got, full, server, isFull)
		}
	}
	if other.Has(a.Index) || !g.Has(a.Index) || g.First != a {
		t.Error("the groups are not those that were added")
	}
	want("the client sticks to the second", 0, b.Index, b, false)
	want("the second has its most", 0, -1, a, false)
	want("both have their most, and the backup is for when they are down", 0, -1, nil, true)
	want("its own has its most", 0, a.Index, nil, true)
	a.Release()
	b.Release()
	want("one was tried", 1<<a.Index, -1, b, false)
	b.Release()
	set.Failed(a, now)
	set.Failed(b, now)
	a.Answered()
	set.Failed(a, now)
	if a.Down(now) || b.Down(now) {
		t.Error("down after one failure in a row")
	}
	set.Failed(a, now)
	want("the first is down", 0, a.Index, b, false)
	b.Release()
	set.Failed(b, now)
	want("both are down", 0, -1, backup, false)
	want("and the backup was tried", 1<<backup.Index, -1, nil, false)
	backup.unhealthy.Store(true)
	if s, full := g.Choose(0, -1, now); s != a && s != b || full {
		t.Errorf("everybody is down: %v, %v; want one of the first two all the same", s, full)
	}
	if now = now.Add(2 * time.Minute); a.Down(now) || !backup.Down(now) {
		t.Error("failures count for a minute, the health check until it says otherwise")
	}
}
