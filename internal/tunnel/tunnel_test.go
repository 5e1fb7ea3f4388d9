package tunnel

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

func TestMain(m *testing.M) { wiretest.Main(m) }

// begin makes a tunnel of each connection that it gets and one to the app.
type begin struct {
	app    string
	idle   time.Duration
	client *park.Conn
	dialed *park.Conn
	endedc chan int64
}

func (b *begin) Ready(c *park.Conn, ev park.Event) {
	switch {
	case b.client == nil:
		b.client = c
		b.dialed, _ = c.Loop().Dial("tcp", b.app, b)
	case c == b.dialed && c.DialError() == nil:
		Start(c.Loop(), b, b.idle, Leg{Conn: b.client}, Leg{Conn: c}, []byte("head\n"), []byte("rest\n"), []byte("early\n"))
	}
}

// TunnelEnded implements Owner.
func (b *begin) TunnelEnded(bytes int64) { b.endedc <- bytes }

// start returns both ends of a tunnel: the client's connection and the app's.
func start(t *testing.T, idle time.Duration) (client, app *wiretest.Client, endedc chan int64) {
	t.Helper()
	appc := make(chan net.Conn, 1)
	up := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		appc <- c.Conn
		<-t.Context().Done()
	})
	p, err := park.New(park.Options{Loops: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	b := &begin{app: up.Addr, idle: idle, endedc: make(chan int64, 1)}
	if err := p.Listen(ln, func(*park.Loop) park.Handler { return b }); err != nil {
		t.Fatal(err)
	}
	wiretest.Serve(t, p)
	client = wiretest.Dial(t, addr)
	app = wiretest.NewClient(t, <-appc)
	client.Expect("head\nrest\n")
	app.Expect("early\n")
	return client, app, b.endedc
}

func closeWrite(c *wiretest.Client) { c.Conn.(*net.TCPConn).CloseWrite() }

// TestTunnel is what passes through, and how each end becomes the other side's.
func TestTunnel(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MB: more than a turn
	for _, tt := range []struct {
		name  string
		play  func(t *testing.T, client, app *wiretest.Client)
		bytes int64 // for the client, without the head
	}{
		{"both ways, the client ends first", func(t *testing.T, client, app *wiretest.Client) {
			client.Send("ping")
			app.Expect("ping")
			app.Send("pong")
			client.Expect("pong")
			closeWrite(client)
			if got, reset := app.Rest(); got != "" || reset {
				t.Errorf("the app received %q, reset %v; want the end", got, reset)
			}
			app.Send("late") // a half-closed side still receives
			client.Expect("late")
			closeWrite(app)
			if got, reset := client.Rest(); got != "" || reset {
				t.Errorf("the client received %q, reset %v; want the end", got, reset)
			}
		}, 13},
		{"the app ends first", func(t *testing.T, client, app *wiretest.Client) {
			app.Send("bye")
			closeWrite(app)
			if got, reset := client.Rest(); got != "bye" || reset {
				t.Errorf("the client received %q, reset %v", got, reset)
			}
			client.Send("late")
			closeWrite(client)
			if got, reset := app.Rest(); got != "late" || reset {
				t.Errorf("the app received %q, reset %v", got, reset)
			}
		}, 8},
		{"much, read late", func(t *testing.T, client, app *wiretest.Client) {
			go func() {
				io.WriteString(app.Conn, big)
				closeWrite(app)
			}()
			go func() {
				io.WriteString(client.Conn, big)
				closeWrite(client)
			}()
			if got, reset := client.Rest(); got != big || reset {
				t.Errorf("the client received %d bytes, reset %v", len(got), reset)
			}
			if got, reset := app.Rest(); got != big || reset {
				t.Errorf("the app received %d bytes, reset %v", len(got), reset)
			}
		}, 5 + int64(len(big))},
		{"the client resets", func(t *testing.T, client, app *wiretest.Client) {
			client.Conn.(*net.TCPConn).SetLinger(0)
			client.Close()
			app.Rest()
		}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, app, endedc := start(t, wiretest.Timeout)
			tt.play(t, client, app)
			if got := <-endedc; got != tt.bytes {
				t.Errorf("the tunnel had %d bytes for the client; want %d", got, tt.bytes)
			}
		})
	}
}

// TestTunnelIdle: with no byte either way for the time both sides are closed.
func TestTunnelIdle(t *testing.T) {
	client, app, endedc := start(t, 50*time.Millisecond)
	<-endedc
	if got, reset := client.Rest(); got != "" || reset {
		t.Errorf("the client received %q, reset %v; want the end", got, reset)
	}
	if got, reset := app.Rest(); got != "" || reset {
		t.Errorf("the app received %q, reset %v; want the end", got, reset)
	}
}
