//go:build linux && !race && !park_plain

package tlsconn

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"net"
	"testing"

	"holdfast/internal/tlsrecord"
)

// keyLog takes the secrets of a client.
type keyLog struct{ tlsrecord.Secrets }

func (k *keyLog) Write(line []byte) (int, error) {
	f := bytes.Fields(line)
	secret, err := hex.DecodeString(string(f[2]))
	switch string(f[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		k.Client = secret
	case "SERVER_TRAFFIC_SECRET_0":
		k.Server = secret
	}
	return len(line), err
}

// bare is a client that allocates nothing after its handshake.
type bare struct {
	net.Conn
	session tlsrecord.Session
	out, in [tlsrecord.MaxSealed]byte
	have    int
}

func dialBare(t testing.TB, s *testServer) *bare {
	t.Helper()
	k := &keyLog{}
	c := clientConfig(tls.VersionTLS13)
	c.KeyLogWriter = k
	// What follows the handshake, the ticket, crypto/tls must not have read: it reads one record at a time.
	nc := s.dialPlain(t)
	client := tls.Client(&recordwise{Conn: nc}, c)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	k.Suite = client.ConnectionState().CipherSuite
	b := &bare{Conn: nc}
	if err := b.session.Init(&k.Secrets, true); err != nil {
		t.Fatal(err)
	}
	return b
}

// recordwise reads no more than one record at a time.
type recordwise struct {
	net.Conn
	header [tlsrecord.HeaderLen]byte
	have   int
	left   int
}

func (c *recordwise) Read(p []byte) (int, error) {
	if c.left > 0 {
		n, err := c.Conn.Read(p[:min(len(p), c.left)])
		c.left -= n
		return n, err
	}
	n, err := c.Conn.Read(p[:min(len(p), tlsrecord.HeaderLen-c.have)])
	if c.have += copy(c.header[c.have:], p[:n]); c.have == tlsrecord.HeaderLen {
		c.have, c.left = 0, int(c.header[3])<<8|int(c.header[4])
	}
	return n, err
}

// exchange sends text and reads as much.
func (b *bare) exchange(t testing.TB, text []byte) {
	record, _ := b.session.Seal(b.out[:0], text, nil)
	if _, err := b.Write(record); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < len(text); {
		n, err := b.Conn.Read(b.in[b.have:])
		if err != nil {
			t.Fatal(err)
		}
		b.have += n
		used := 0
		for b.have-used >= tlsrecord.HeaderLen {
			size, err := tlsrecord.RecordLen(b.in[used:b.have])
			if err != nil || b.have-used < size {
				break
			}
			data, err := b.session.Open(nil, b.in[used:used+size])
			if err != nil {
				t.Fatal(err)
			}
			got += len(data)
			used += size
		}
		b.have = copy(b.in[:], b.in[used:b.have])
	}
}

// TestBusyAllocatesNothing: a connection in use has its ciphers and takes its buffers from pools.
func TestBusyAllocatesNothing(t *testing.T) {
	s := start(t, Options{}, echoes)
	b := dialBare(t, s)
	text := make([]byte, 300)
	for range 100 {
		b.exchange(t, text)
	}
	if n := testing.AllocsPerRun(1000, func() { b.exchange(t, text) }); n > 0 {
		t.Errorf("%v allocations for each exchange", n)
	}
}

// BenchmarkExchange has one message each way.
func BenchmarkExchange(b *testing.B) {
	c := dialBare(b, start(b, Options{}, echoes))
	text := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		c.exchange(b, text)
	}
}
