//go:build linux && !park_plain

package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestTunnelSeesResetWhileTheAppDoesNotRead: nothing is read from such a client, so only the event tells that it is gone.
// The app must not take what it has of the client's bytes for all of them.
func TestTunnelSeesResetWhileTheAppDoesNotRead(t *testing.T) {
	reset, ended := make(chan struct{}), make(chan error, 1)
	read := sync.OnceFunc(func() { close(reset) })
	defer read()
	u := tunnelApp(t, func(c *wiretest.Recorded) {
		<-reset
		_, err := io.Copy(io.Discard, c.Reader)
		ended <- err
	})
	addr, x := start(t, u.Addr, func(o *Options) { o.TunnelTime = time.Hour })
	c := wiretest.Dial(t, addr)
	c.Send(upgradeRequest)
	c.Expect("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
	// All buffers on the way are full once nothing more is taken.
	for b := make([]byte, 1<<20); ; {
		c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := c.Write(b); err != nil {
			if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatal(err)
			}
			break
		}
	}
	if n := x.Stats().Tunnels; n != 1 {
		t.Fatalf("%d tunnels before the reset", n)
	}
	wiretest.Reset(c)
	wiretest.Eventually(t, "the tunnel is gone", func() bool { return x.Stats().Tunnels == 0 })
	read()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the app read %v at the end, want a reset", err)
	}
}
