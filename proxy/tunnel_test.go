package proxy

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

func tunnelApp(t *testing.T, serve func(c *wiretest.Recorded)) *wiretest.Upstream {
	return wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		if _, err := http.ReadRequest(c.Reader); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst")
		serve(c)
	})
}

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"

func TestTunnel(t *testing.T) {
	u := tunnelApp(t, func(c *wiretest.Recorded) { io.Copy(c, c.Reader) })
	addr, x := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(upgradeRequest + "early")
	c.Expect("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirstearly")
	if !strings.Contains(u.Sent(), "Connection: Upgrade\r\nUpgrade: echo\r\n") {
		t.Errorf("the app was sent %q", u.Sent())
	}
	big := make([]byte, 4<<20)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.Write(big)
		wiretest.EndSide(c) // a half close is passed on
	}()
	back, err := io.ReadAll(c.Reader)
	<-sent
	if err != nil || !bytes.Equal(back, big) {
		t.Errorf("%d bytes came back, %v; %d were sent", len(back), err, len(big))
	}
	wiretest.Eventually(t, "the tunnel is gone", func() bool { return x.Stats().Tunnels == 0 })
}

func TestTunnelEndsWithEitherSide(t *testing.T) {
	for _, who := range []string{"client", "app"} {
		t.Run(who, func(t *testing.T) {
			ended := make(chan struct{})
			u := tunnelApp(t, func(c *wiretest.Recorded) {
				if who == "client" {
					io.Copy(io.Discard, c.Reader)
					close(ended)
				}
			})
			addr, x := start(t, u.Addr)
			c := wiretest.Dial(t, addr)
			c.Send(upgradeRequest)
			c.Expect("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
			if who == "client" {
				c.Close()
				<-ended
			} else if rest, _ := c.Rest(); rest != "" {
				t.Errorf("read %q", rest)
			}
			c.Close()
			wiretest.Eventually(t, "the tunnel is gone", func() bool { return x.Stats().Tunnels == 0 })
		})
	}
}

func TestUpgradeThatWasNotAskedFor(t *testing.T) {
	u := tunnelApp(t, func(c *wiretest.Recorded) { io.Copy(io.Discard, c.Reader) })
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x"))
	if resp, _ := c.Response("GET"); resp.StatusCode != 502 {
		t.Errorf("status %d, want 502", resp.StatusCode)
	}
}

func TestUpgradeThatTheAppDeclines(t *testing.T) {
	u := wiretest.NewUpstream(t, wiretest.Answer(echo))
	addr, _ := start(t, u.Addr)
	c := wiretest.Dial(t, addr)
	for range 2 {
		c.Send(upgradeRequest)
		if resp, body := c.Response("GET"); resp.StatusCode != 200 || body != `GET /ws ""` {
			t.Errorf("answer %d %q", resp.StatusCode, body)
		}
	}
}

// TestTunnelOutlivesTheResponseTime: timeouts.upstream is for responses; a tunnel has its own.
func TestTunnelOutlivesTheResponseTime(t *testing.T) {
	u := wiretest.NewUpstream(t, func(c *wiretest.Recorded) {
		http.ReadRequest(c.Reader)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		io.Copy(c, c.Reader)
	})
	addr, _ := start(t, u.Addr, func(o *Options) { o.UpstreamTime = 200 * time.Millisecond })
	c := wiretest.Dial(t, addr)
	c.Send(lines("GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: x"))
	c.Response(http.MethodGet)
	for range 8 { // twice the time of a response
		c.Send("x")
		c.Expect("x")
		time.Sleep(50 * time.Millisecond)
	}
}

// An app that switches before it had all of a body would take what the client says then for the rest of that.
func TestNoTunnelBeforeTheBodyIsPassedOn(t *testing.T) {
	answered := make(chan struct{})
	u := tunnelApp(t, func(c *wiretest.Recorded) {
		<-answered
		io.Copy(io.Discard, c)
	})
	addr, p := start(t, u.Addr, files(t))
	body := string(noise(5, 16<<20))
	c := wiretest.Dial(t, addr)
	c.Send(strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nContent-Length: 16777216\r\n\r\n", 1) + body)
	resp, _ := c.Response("GET")
	close(answered)
	if resp.StatusCode != 502 {
		t.Errorf("status %d; want 502", resp.StatusCode)
	}
	c.Close()
	settled(t, p)
}
