package upgrade_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// endless sends p again and again, and reads whatever comes, until the test ends.
func endless(t *testing.T, c *client, p string) {
	t.Helper()
	block := []byte(strings.Repeat(p, 1+(32<<10)/len(p)))
	c.SetDeadline(time.Time{})
	go io.Copy(io.Discard, c.Reader)
	go func() {
		for {
			if _, err := c.Conn.Write(block); err != nil {
				return
			}
		}
	}()
}

// TestEndlessSender: clients that send as fast as they can cost the others of their loop little: each of these is
// answered while they go on, and what they send is read at a rate.
func TestEndlessSender(t *testing.T) {
	for name, tt := range map[string]struct{ kind, send string }{
		"pings":         {"websocket", frame(true, 9, nil)},
		"full pings":    {"websocket", frame(true, 9, []byte(strings.Repeat("x", 125)))},
		"pongs":         {"websocket", frame(true, 10, nil)},
		"empty text":    {"websocket", frame(true, 1, nil)},
		"text":          {"websocket", frame(true, 1, []byte("x"))},
		"pieces":        {"websocket", frame(false, 1, nil) + strings.Repeat(frame(false, 0, nil), 100) + frame(true, 0, nil)},
		"JSON pings":    {"websocket v1", frame(true, 1, []byte(`{"type":"ping"}`))},
		"JSON messages": {"websocket v1", frame(true, 1, []byte(`{"type":"unsubscribe","channels":["public.b"]}`))},
		"stream":        {"sse", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(o *upgrade.Options) { o.MessageRate = 10 })
			others := make([]*client, 8) // both loops have some
			for i := range others {
				others[i] = w.hold(t, "websocket", "channel=public.a")
			}
			for range 2 * len(w.poller.Loops()) {
				endless(t, w.hold(t, tt.kind, "channel=public.b"), tt.send)
			}
			if tt.kind != "sse" { // whose client has nothing to send, and may be closed
				wiretest.Eventually(t, "they are read at a rate", func() bool { return w.keeper.Stats().Throttled > 0 })
			}
			for i := range 20 {
				w.publish(t, fmt.Sprint(i), "public.a")
				for _, o := range others {
					o.expect(fmt.Sprint(i))
				}
			}
		})
	}
}

// TestPongsWait: a client that pings and does not read costs one pong, the newest, and stays.
func TestPongsWait(t *testing.T) {
	w := start(t)
	c := w.hold(t, "websocket", "channel=public.a")
	data := strings.Repeat("x", 2*wiretest.KernelTakes)
	w.publish(t, data, "public.a")
	wiretest.Eventually(t, "it waits", func() bool { return w.keeper.Stats().SendQueue > 0 })
	before := w.keeper.Stats().SendQueue
	for i := range 1000 {
		c.Send(frame(true, 9, fmt.Append(nil, i)))
	}
	c.Send(frame(true, 1, []byte("x")))
	wiretest.Eventually(t, "all is read", func() bool { return w.keeper.Stats().ClientMessages == 1 })
	if after := w.keeper.Stats().SendQueue; after > before+1<<10 {
		t.Errorf("%d bytes more wait", after-before)
	}
	c.expect(data)
	if m := c.recv(); m.Type != "pong" || m.Data != "999" {
		t.Errorf("told %+v; want the newest pong", m)
	}
}

// TestBegunMessages: what clients have begun to send has a time and a total.
func TestBegunMessages(t *testing.T) {
	begun := frame(true, 1, []byte(strings.Repeat("x", 4000)))
	for name, p := range map[string]string{
		"all but a byte":    begun[:len(begun)-1],
		"a part of a head":  begun[:3],
		"pieces":            frame(false, 1, []byte("x")) + frame(false, 0, nil),
		"pings between":     frame(false, 1, []byte("x")) + frame(true, 9, nil),
		"first byte of one": begun + begun[:1],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(o *upgrade.Options) { o.ReceiveTime = 50 * time.Millisecond; o.MaxMessage = 64 << 10 })
			c := w.hold(t, "websocket", "channel=public.a")
			c.Send(p)
			m := c.recv()
			for ; m.Type == "pong"; m = c.recv() {
			}
			if m.Type != "close" || m.Code != 1008 {
				t.Errorf("told %+v; want a close with 1008", m)
			}
			s := w.keeper.Stats()
			if s.Inbound != 0 || s.Dropped["slow_sender"] != 1 {
				t.Errorf("%+v; want nothing kept", s)
			}
		})
	}
	t.Run("total", func(t *testing.T) {
		w := start(t, func(o *upgrade.Options) { o.InboundTotal = 64 << 10 })
		for range 10 {
			w.hold(t, "websocket", "channel=public.a").Send(begun[:len(begun)-1])
		}
		wiretest.Eventually(t, "they are read", func() bool { return w.keeper.Stats().Inbound > 30<<10 })
		closed := false
		for i := 0; i < 10 && !closed; i++ {
			c := w.hold(t, "websocket", "channel=public.a")
			c.Send(begun[:len(begun)-1])
			wiretest.Eventually(t, "it is read or closed", func() bool {
				s := w.keeper.Stats()
				closed = s.Dropped["inbound_full"] > 0
				return closed || s.Inbound > int64(40+4*i)<<10
			})
			if closed {
				if m := c.recv(); m.Type != "close" || m.Code != 1013 {
					t.Errorf("told %+v; want a close with 1013", m)
				}
			}
		}
		if s := w.keeper.Stats(); !closed || s.Inbound > 64<<10 {
			t.Errorf("%+v; want one closed", s)
		}
	})
}

// TestCloseWhileDataWaits: whoever ends a connection whose client has not read all yet, the client can read what had
// begun to be sent, and the goodbye; never a reset.
func TestCloseWhileDataWaits(t *testing.T) {
	data := strings.Repeat("0123456789abcdef", wiretest.KernelTakes/16)
	ends := map[string]struct {
		code int
		end  func(w *world, c *client)
	}{
		"client": {1000, func(w *world, c *client) { c.Send(frame(true, 8, []byte("\x03\xe8"))) }},
		"app": {4403, func(w *world, c *client) {
			w.keeper.Disconnect(connection.Selection{Channel: "public.a"}, 4403, "disconnected")
		}},
		"drain": {1001, func(w *world, c *client) { w.keeper.Drain() }},
	}
	run(t, func(t *testing.T, kind string) {
		for name, tt := range ends {
			if name == "client" && !wires[kind].upgrades {
				continue
			}
			t.Run(name, func(t *testing.T) {
				w := start(t, func(o *upgrade.Options) { o.SendQueue = 32 << 20 })
				c := w.hold(t, kind, "channel=public.a")
				w.waitHeld(t, 1)
				w.publish(t, data, "public.a")
				if !wires[kind].asksAgain { // which has its answer with the first
					w.publish(t, data, "public.a")
				}
				wiretest.Eventually(t, "it waits", func() bool { return w.keeper.Stats().SendQueue > 0 })
				tt.end(w, c)
				if name == "client" {
					w.waitHeld(t, 0)
				}
				c.expect(data)
				switch {
				case wires[kind].asksAgain:
				case !wires[kind].upgrades:
					for {
						line, err := c.Reader.ReadString('\n')
						if err == io.EOF && line == "" {
							return
						}
						if err != nil {
							t.Fatalf("the stream ends with %q %v", line, err)
						}
					}
				default:
					m := c.recv()
					if m.Type == "message" && m.Data == data { // it may have begun
						m = c.recv()
					}
					if m.Type != "close" || m.Code != tt.code {
						t.Fatalf("told %.100v; want a close with %d", m, tt.code)
					}
				}
				wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
			})
		}
	})
}

// TestCloseCodes: the codes that a client may send are answered with the same, the others with 1002.
func TestCloseCodes(t *testing.T) {
	w := start(t)
	for code, want := range map[int]int{
		1000: 1000, 1001: 1001, 1003: 1003, 1007: 1007, 1011: 1011, 1012: 1012, 1013: 1013, 1014: 1014, 3000: 3000, 4999: 4999,
		0: 1002, 999: 1002, 1004: 1002, 1005: 1002, 1006: 1002, 1015: 1002, 1016: 1002, 2999: 1002, 5000: 1002, 28928: 1002, 65535: 1002,
	} {
		c := w.hold(t, "websocket", "channel=public.a")
		c.Send(frame(true, 8, []byte{byte(code >> 8), byte(code)}))
		if m := c.recv(); m.Type != "close" || m.Code != want {
			t.Errorf("%d was answered %+v; want %d", code, m, want)
		}
	}
}

// TestLargeDeflated: a message that takes long to inflate is read elsewhere than on the loop, and in its order.
func TestLargeDeflated(t *testing.T) {
	w := start(t, func(o *upgrade.Options) { o.MaxMessage = 8 << 20; o.Compress = 64 })
	c := &client{Client: wiretest.Dial(t, w.addr), t: t, kind: "websocket"}
	c.Send(request("websocket", "/_push?channel=public.a", "Sec-WebSocket-Extensions: permessage-deflate"))
	if resp, err := http.ReadResponse(c.Reader, nil); err != nil || resp.Header.Get("Sec-WebSocket-Extensions") == "" {
		t.Fatal(resp, err)
	}
	p := []byte(frame(true, 2, deflated(strings.Repeat("\x00", 8<<20))))
	p[0] |= 0x40
	c.Send(string(p) + frame(true, 9, []byte("after")))
	if m := c.recv(); m.Type != "pong" || w.keeper.Stats().ClientMessages != 1 {
		t.Errorf("told %+v, with %d messages read", m, w.keeper.Stats().ClientMessages)
	}
	blocks := []byte(frame(true, 2, []byte(strings.Repeat("\x03\x00", 100_000)))) // final blocks without anything
	blocks[0] |= 0x40
	c.Send(string(blocks))
	if m := c.recv(); m.Type != "close" || m.Code != 1007 {
		t.Errorf("told %+v; want a close with 1007", m)
	}
}

// TestWaitingMessagesHaveATotal: what clients have sent counts until the app has it, also where it came in one piece,
// waits behind another message, or has grown when it was inflated. A message that has no room closes its connection, and
// the app's answers make room.
func TestWaitingMessagesHaveATotal(t *testing.T) {
	const size = 15 << 10
	text := strings.Repeat("x", size)
	pressed := []byte(frame(true, 1, deflated(text)))
	pressed[0] |= 0x40
	json := frame(true, 1, []byte(`{"type":"message","data":"`+text+`"}`))
	for name, tt := range map[string]struct {
		kind, sent string
		extensions string
		closed     int64 // of ten clients, at least
	}{
		"raw":      {"websocket", frame(true, 1, []byte(text)), "none", 6},
		"queued":   {"websocket", strings.Repeat(frame(true, 1, []byte(text)), 2), "none", 7},
		"v1":       {"websocket v1", json, "none", 6},
		"inflated": {"websocket", string(pressed), "permessage-deflate", 6},
	} {
		t.Run(name, func(t *testing.T) {
			b := &postbox{answer: func(appcall.ClientMessage) (appcall.Reply, error) { return appcall.Reply{Status: 204}, nil }, hold: make(chan struct{})}
			w := start(t, b.open, func(o *upgrade.Options) {
				o.InboundTotal, o.MaxMessage, o.Compress, o.MessageRate = 64<<10, 32<<10, 64, 100
			})
			for range 10 {
				c := w.hold(t, tt.kind, "channel=public.a", "Sec-WebSocket-Extensions: "+tt.extensions)
				c.Send(tt.sent)
			}
			wiretest.Eventually(t, "those without room are closed", func() bool {
				return w.keeper.Stats().Dropped["inbound_full"] >= tt.closed
			})
			if n := w.keeper.Stats().Inbound; n > 64<<10 || n < 2*size {
				t.Errorf("%d bytes wait; want at most 64 KB, and at least two messages", n)
			}
			close(b.hold)
			wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().Inbound == 0 })
		})
	}
}
