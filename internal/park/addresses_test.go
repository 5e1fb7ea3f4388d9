package park_test

import (
	"net"
	"net/netip"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

type closer struct{}

func (closer) Ready(c *park.Conn, ev park.Event) {
	if ev&park.HangUp != 0 {
		c.Close()
	}
}

// TestConnectionsPerAddress: one address has its share, another its own, and a place that was left is
// free again.
func TestConnectionsPerAddress(t *testing.T) {
	p, err := park.New(park.Options{
		Loops: 2, PerAddr: 3, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.3") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := p.Listen(ln, func(*park.Loop) park.Handler { return closer{} }); err != nil {
		t.Fatal(err)
	}
	donec := make(chan struct{})
	go func() { defer close(donec); p.Serve() }()
	defer func() { p.Shutdown(); <-donec }()
	dial := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first := dial("127.0.0.1")
	for range 4 {
		dial("127.0.0.1")
	}
	wiretest.Eventually(t, "two of five are refused", func() bool { s := p.Stats(); return s.Clients == 3 && s.AddressLimited == 2 })
	for range 3 {
		dial("127.0.0.2")
	}
	for range 6 {
		dial("127.0.0.3")
	}
	wiretest.Eventually(t, "others have their own share", func() bool { s := p.Stats(); return s.Clients == 12 && s.AddressLimited == 2 })
	first.Close()
	wiretest.Eventually(t, "one has left", func() bool { return p.Stats().Clients == 11 })
	dial("127.0.0.1")
	wiretest.Eventually(t, "the place is taken again", func() bool { s := p.Stats(); return s.Clients == 12 && s.AddressLimited == 2 })
}
