//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// dial opens a WebSocket that ends with the test.
func dial(t *testing.T, h *holdfast, path string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	header := map[string][]string{"Origin": {h.url}}
	c, res, err := dialer.DialContext(t.Context(), "ws://"+h.addr+path, header)
	if err != nil {
		status := ""
		if res != nil {
			status = res.Status
		}
		t.Fatalf("WebSocket to %s: %v %s", path, err, status)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(2 * patience))
	return c
}

// closeCleanly makes the close handshake.
func closeCleanly(t *testing.T, c *websocket.Conn) {
	t.Helper()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye")
	if err := c.WriteMessage(websocket.CloseMessage, bye); err != nil {
		t.Error(err)
	}
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the close was answered with %v", err)
	}
}

// echo sends a message and wants it back.
func echo(t *testing.T, c *websocket.Conn, kind int, message []byte) {
	t.Helper()
	if err := c.WriteMessage(kind, message); err != nil {
		t.Fatal(err)
	}
	gotKind, got, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if gotKind != kind || !bytes.Equal(got, message) {
		t.Fatalf("sent %d bytes of kind %d, got %d of kind %d", len(message), kind, len(got), gotKind)
	}
}

func testTomcatWebSocket(t *testing.T, h *holdfast) {
	for _, endpoint := range []string{"echoProgrammatic", "echoAnnotation", "echoStreamAnnotation"} {
		t.Run(endpoint, func(t *testing.T) {
			c := dial(t, h, "/examples/websocket/"+endpoint)
			echo(t, c, websocket.TextMessage, []byte("hello"))
			echo(t, c, websocket.TextMessage, []byte("grüße, 世界 🐢"))
			echo(t, c, websocket.BinaryMessage, []byte{0, 1, 2, 0xff})
			for range 100 {
				echo(t, c, websocket.TextMessage, []byte("again"))
			}
			closeCleanly(t, c)
		})
	}
	t.Run("large messages", func(t *testing.T) {
		c := dial(t, h, "/examples/websocket/echoAnnotation")
		// Tomcat echoes piece by piece while it reads, so its answer has to be read meanwhile.
		for _, size := range []int{125, 126, 65535, 65536, 1 << 20, 8 << 20} {
			message := make([]byte, size)
			for i := range message {
				message[i] = byte(rand.Uint32())
			}
			sent := make(chan error, 1)
			go func() { sent <- c.WriteMessage(websocket.BinaryMessage, message) }()
			_, got, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, message) {
				t.Fatalf("a message of %d bytes came back as %d other ones", size, len(got))
			}
		}
		closeCleanly(t, c)
	})
	t.Run("ping is answered by the app", func(t *testing.T) {
		c := dial(t, h, "/examples/websocket/echoAnnotation")
		pong := make(chan string, 1)
		c.SetPongHandler(func(data string) error {
			pong <- data
			return nil
		})
		if err := c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		echo(t, c, websocket.TextMessage, []byte("after the ping")) // reads the pong on the way
		select {
		case data := <-pong:
			if data != "are you there" {
				t.Errorf("pong says %q", data)
			}
		default:
			t.Error("no pong before the echo of a later message")
		}
	})
	t.Run("many at once, idle, and again", func(t *testing.T) {
		var conns []*websocket.Conn
		for i := range 50 {
			c := dial(t, h, "/examples/websocket/echoProgrammatic")
			echo(t, c, websocket.TextMessage, fmt.Appendf(nil, "I am %d", i))
			conns = append(conns, c)
		}
		// Long enough that both sides of the tunnel have nothing to do but wait.
		time.Sleep(3 * time.Second)
		for i, c := range conns {
			echo(t, c, websocket.TextMessage, fmt.Appendf(nil, "I am still %d", i))
		}
		for _, c := range conns {
			closeCleanly(t, c)
		}
	})
	t.Run("chat", func(t *testing.T) {
		anna, ben := dial(t, h, "/examples/websocket/chat"), dial(t, h, "/examples/websocket/chat")
		hear := func(c *websocket.Conn, want string) {
			t.Helper()
			for {
				_, message, err := c.ReadMessage()
				if err != nil {
					t.Fatalf("waiting for %q: %v", want, err)
				}
				if strings.HasSuffix(string(message), want) {
					return
				}
			}
		}
		hear(ben, "has joined.")
		if err := anna.WriteMessage(websocket.TextMessage, []byte("hello Ben")); err != nil {
			t.Fatal(err)
		}
		hear(anna, ": hello Ben")
		hear(ben, ": hello Ben")
		if err := ben.WriteMessage(websocket.TextMessage, []byte("hello Anna")); err != nil {
			t.Fatal(err)
		}
		hear(anna, ": hello Anna")
		anna.Close() // no close frame: the app has to learn of it from its own connection
		hear(ben, "has disconnected.")
	})
	t.Run("refused upgrade", func(t *testing.T) {
		dialer := websocket.Dialer{HandshakeTimeout: patience}
		_, res, err := dialer.Dial("ws://"+h.addr+"/examples/websocket/no-such-endpoint", nil)
		if err == nil || res == nil || res.StatusCode != 404 {
			t.Errorf("got %v, %v, want the app's 404", res, err)
		}
	})
}
