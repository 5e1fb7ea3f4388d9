package upgrade

import (
	"encoding/binary"

	"github.com/gobwas/ws"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

// subprotocol is the name of the JSON frames.
const subprotocol = "holdfast.v1"

// codeGap closes a WebSocket without subprotocol whose history does not reach back: its frames are the
// messages' data and nothing else, so there is no other way to tell.
const codeGap = 4000

var (
	pingFrame   = appendFrame(nil, ws.OpPing)
	pingFrameV1 = appendFrame(pingFrame, ws.OpText, []byte(pingJSON))
	pongFrameV1 = appendFrame(nil, ws.OpText, []byte(`{"type":"pong"}`))
)

func (x *held) beginWebSocket(handshake []byte, replay hub.Replay) {
	x.await(jitter(x.k.o.Heartbeat))
	if len(replay.Gaps) > 0 && !x.v1 {
		if x.send(handshake, false) {
			x.closeWith(codeGap, "gap: history does not reach back to last_id", gapped)
		}
		return
	}
	if x.v1 {
		handshake = appendFrame(handshake, ws.OpText, helloJSON(x.stand.Position(), x.k.o.Heartbeat, owed(replay)))
		for _, g := range replay.Gaps {
			handshake = appendFrame(handshake, ws.OpText, gapJSON(g))
		}
	}
	if x.send(handshake, false) {
		x.replay(replay.Messages)
	}
}

// frames takes bytes of the client. It reports whether the connection goes on.
func (x *held) frames(p []byte) bool {
	f := x.in
	if f == nil {
		f = &frames{whole: x.v1 || x.k.o.Message != nil, deflate: x.compress}
	}
	if len(f.buf) > 0 {
		f.buf = append(f.buf, p...)
		p = f.buf
	}
	for len(p) > 0 {
		fr, n, e := f.next(p, x.k.o.MaxMessage)
		if e != nil {
			x.closeWith(e.code, e.reason, badFrame)
			return false
		}
		if n == 0 {
			break
		}
		p = p[n:]
		if !x.frame(fr) {
			return false
		}
	}
	if len(p) > 0 {
		f.buf = append([]byte(nil), p...)
	} else {
		f.buf = nil
	}
	if x.in = f; f.empty() {
		x.in = nil
	}
	return true
}

func (x *held) frame(fr frame) bool {
	switch {
	case fr.op == ws.OpPing:
		return x.send(appendFrame(nil, ws.OpPong, fr.payload), false)
	case fr.op == ws.OpClose:
		code := ws.StatusNormalClosure
		if len(fr.payload) >= 2 {
			code = ws.StatusCode(binary.BigEndian.Uint16(fr.payload))
		}
		x.closeWith(code, "", clientClosed)
		return false
	case fr.message != 0 && x.v1 && string(fr.payload) == pingJSON:
		return x.send(pongFrameV1, true)
	case fr.message != 0 && (x.v1 || x.k.o.Message != nil):
		return x.hear(fr.payload, fr.message == ws.OpText)
	case fr.message != 0:
		x.k.stats.clientMessages.Add(1)
	}
	return true
}

// closeWith says goodbye and waits a while for the client's own close (RFC 6455 §7.1.1).
func (x *held) closeWith(code ws.StatusCode, reason string, why dropReason) {
	waiting := x.out != nil
	x.leave(why)
	if waiting { // a frame in the middle of another would be garbage
		x.c.Abort()
		return
	}
	var payload [2]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	x.c.Write(appendFrame(nil, ws.OpClose, payload[:], []byte(reason)))
	park.Linger(x.c)
}
