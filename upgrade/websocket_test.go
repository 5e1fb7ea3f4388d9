package upgrade_test

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

func closeFrame(code int, reason string) string {
	return frame(true, 8, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// TestFrames sends what a client may and may not, whole and a byte at a time; code 0 is a pong "alive",
// which shows that the connection goes on.
func TestFrames(t *testing.T) {
	big := make([]byte, 4<<10)
	for i := range big {
		big[i] = 'x'
	}
	euro := "\xe2\x82\xac"
	for _, tt := range []struct {
		name, sent string
		code       int
	}{
		{"text", frame(true, 1, []byte("hello")), 0},
		{"empty text", frame(true, 1, nil), 0},
		{"binary", frame(true, 2, []byte("\xff\x00")), 0},
		{"ping between fragments", frame(false, 1, []byte("a")) + frame(true, 9, []byte("p")) + frame(true, 0, []byte("b")), 0},
		{"character over fragments", frame(false, 1, []byte(euro[:1])) + frame(false, 0, []byte(euro[1:2])) + frame(true, 0, []byte(euro[2:])), 0},
		{"as large as may be", frame(true, 2, big), 0},
		{"pong nobody asked for", frame(true, 10, []byte("x")), 0},
		{"too large", frame(true, 2, append(big, 'x')), 1009},
		{"too large in fragments", frame(false, 2, big) + frame(true, 0, []byte("x")), 1009},
		{"too large by its header", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", 1009},
		{"length with the top bit", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", 1002},
		{"invalid UTF-8", frame(true, 1, []byte("a\xff")), 1007},
		{"invalid UTF-8 over fragments", frame(false, 1, []byte(euro[:1])) + frame(false, 0, []byte("x")), 1007},
		{"text that ends in a character", frame(true, 1, []byte(euro[:2])), 1007},
		{"surrogate", frame(true, 1, []byte("\xed\xa0\x80")), 1007},
		{"not masked", "\x81\x02hi", 1002},
		{"RSV1", "\xc1" + frame(true, 1, nil)[1:], 1002},
		{"unknown opcode", frame(true, 3, nil), 1002},
		{"unknown control opcode", frame(true, 11, nil), 1002},
		{"fragmented ping", frame(false, 9, nil), 1002},
		{"long ping", frame(true, 9, make([]byte, 126)), 1002},
		{"continuation of nothing", frame(true, 0, []byte("x")), 1002},
		{"text within fragments", frame(false, 1, []byte("x")) + frame(true, 1, []byte("x")), 1002},
		{"length not in its shortest form", "\x81\xfe\x00\x01\x00\x00\x00\x00x", 1002},
		{"close", closeFrame(1000, "bye"), 1000},
		{"close without a code", frame(true, 8, nil), 1000},
		{"close of one byte", frame(true, 8, []byte{3}), 1002},
		{"close with a reserved code", closeFrame(1005, ""), 1002},
		{"close with an unknown code", closeFrame(2000, ""), 1002},
		{"close of the app's own", closeFrame(4711, ""), 4711},
		{"close with invalid UTF-8", closeFrame(1000, "\xff"), 1007},
	} {
		for _, how := range []string{"whole", "bytes", "pieces"} {
			t.Run(tt.name+" in "+how, func(t *testing.T) {
				w := start(t)
				c := w.hold(t, "websocket", "channel=public.a")
				sent := tt.sent
				if tt.code == 0 {
					sent += frame(true, 9, []byte("alive"))
				}
				if len(sent) > 1000 && how == "bytes" {
					how = "pieces"
				}
				for len(sent) > 0 {
					n := len(sent)
					switch how {
					case "bytes":
						n = 1
					case "pieces":
						n = 1 + rand.N(n)
					}
					if _, err := c.Write([]byte(sent[:n])); err != nil {
						break // it may have been closed at the first bad byte
					}
					sent = sent[n:]
				}
				m := c.recv()
				for m.Type == "pong" && m.Data != "alive" {
					m = c.recv()
				}
				if tt.code == 0 {
					if m.Type != "pong" {
						t.Fatalf("told %+v; want a pong", m)
					}
					w.publish(t, "still here", "public.a")
					c.expect("still here")
					return
				}
				if m.Type != "close" || m.Code != tt.code {
					t.Fatalf("told %+v; want a close with %d", m, tt.code)
				}
				w.waitHeld(t, 0)
			})
		}
	}
}

// TestCutAtEveryByteOfAFrame: wherever a client leaves, it is forgotten.
func TestCutAtEveryByteOfAFrame(t *testing.T) {
	w := start(t)
	all := frame(false, 1, []byte("ab")) + frame(true, 9, []byte("p")) + frame(true, 0, []byte(strings.Repeat("c", 200)))[:40]
	for i := range len(all) {
		c := w.hold(t, "websocket", "channel=public.a")
		w.waitHeld(t, 1)
		c.Send(all[:i])
		c.Close()
		w.waitHeld(t, 0)
	}
}

// TestEarlyFrames: a client may speak in the same segment as its handshake.
func TestEarlyFrames(t *testing.T) {
	w := start(t)
	c := &client{Client: wiretest.Dial(t, w.addr), t: t, kind: "websocket"}
	c.Send(request("websocket", "/_push?channel=public.a") + frame(true, 9, []byte("early")))
	for {
		line, err := c.Reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	if m := c.recv(); m.Type != "pong" || m.Data != "early" {
		t.Fatalf("told %+v", m)
	}
}
