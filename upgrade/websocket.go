package upgrade

import (
	"bytes"
	"time"

	"github.com/gobwas/ws"

	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/wsframe"
)

// subprotocol is the name of the JSON frames.
const subprotocol = "holdfast.v1"

// codeGap closes a WebSocket without subprotocol whose history does not reach back: its frames are the
// messages' data and nothing else, so there is no other way to tell.
const codeGap = 4000

var (
	pingFrame   = wsframe.Append(nil, ws.OpPing)
	pingFrameV1 = wsframe.Append(pingFrame, ws.OpText, []byte(pingJSON))
	pongFrameV1 = wsframe.Append(nil, ws.OpText, []byte(`{"type":"pong"}`))
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
		handshake = wsframe.Append(handshake, ws.OpText, helloJSON(x.stand.Position(), x.k.o.Heartbeat, owed(replay)))
		for _, g := range replay.Gaps {
			handshake = wsframe.Append(handshake, ws.OpText, gapJSON(g))
		}
	}
	if x.send(handshake, false) {
		x.replay(replay.Messages)
	}
}

// frames is what has come of a frame or a message that is not complete; it exists only while there is any.
type frames struct {
	wsframe.Parser
	counted int         // of the keeper's inbound bytes
	since   time.Time   // when the message began
	timer   *time.Timer // checks whether the rest arrives; nil: not yet
}

// frames takes bytes of the client, one turn of them; the rest waits for the next. It reports whether the connection
// goes on.
func (x *held) frames(p []byte) bool {
	f := x.in
	if f == nil {
		f = &frames{Parser: wsframe.Parser{Whole: x.v1 || x.k.o.Message != nil, Deflate: x.compress}}
	}
	p = f.Join(p)
	for n := 0; len(p) > 0 && !x.paused; n++ {
		if n == framesPerTurn {
			x.pause(0)
			break
		}
		if x.tooFast() {
			break
		}
		fr, used, e := f.Next(p, x.k.o.MaxMessage)
		if e != nil {
			x.closeWith(e.Code, e.Reason, badFrame)
			return false
		}
		if used == 0 {
			break
		}
		p = p[used:]
		if fr.Message != 0 {
			f.since = x.c.Loop().Now()
		}
		if !x.frame(fr) {
			return false
		}
	}
	return x.keepFrames(f, p)
}

// frame does what a frame says. It reports whether the connection goes on.
func (x *held) frame(fr wsframe.Frame) bool {
	switch {
	case fr.Message != 0 && fr.Deflated:
		x.spendFrame()
		return x.inflate(fr)
	case fr.Message != 0:
		return x.message(fr)
	}
	x.spendFrame()
	switch fr.Op {
	case ws.OpPing:
		return x.pong(0, wsframe.Append(nil, ws.OpPong, fr.Payload))
	case ws.OpClose:
		x.closeWith(wsframe.CloseCode(fr.Payload), "", clientClosed)
		return false
	}
	return true
}

// message takes a whole message of the client. It reports whether the connection goes on.
func (x *held) message(fr wsframe.Frame) bool {
	switch {
	case x.v1 && string(fr.Payload) == pingJSON:
		x.spendFrame()
		return x.pong(1, pongFrameV1)
	case x.v1 || x.k.o.Message != nil:
		x.spend(x.k.o.MessageRate)
		return x.hear(fr.Payload, fr.Message == ws.OpText)
	}
	x.spendFrame()
	x.k.stats.clientMessages.Add(1)
	return true
}

// pong answers a ping: of each kind (0: a control frame, 1: of the subprotocol) only the newest, if the client does not
// read (RFC 6455 §5.5.3).
func (x *held) pong(kind int, b []byte) bool {
	if x.out != nil {
		x.out.pongs[kind] = b
		return true
	}
	return x.send(b, kind == 1)
}

// What is inflated on the loop; a message that could take longer goes to a worker.
const (
	inflatedOnLoop = 8 << 10   // bytes of it
	inflatedInto   = 256 << 10 // bytes that it may become
	maxInflation   = 1032      // bytes that one becomes at most
)

// inflate hands on a compressed message. It reports whether the connection goes on.
func (x *held) inflate(fr wsframe.Frame) bool {
	limit := x.k.o.MaxMessage
	if n := len(fr.Payload); n <= inflatedOnLoop && min(n*maxInflation, limit) <= inflatedInto {
		return x.inflated(fr)(wsframe.Inflate(fr.Payload, fr.Message, limit))
	}
	p, ref, loop := bytes.Clone(fr.Payload), x.c.Ref(), x.c.Loop()
	x.paused = x.k.o.Poller.Go(func() {
		out, e := wsframe.Inflate(p, fr.Message, limit)
		ref.Post(loop, func(c *park.Conn) {
			if c.Handler() == park.Handler(x) {
				if x.inflated(fr)(out, e) && (x.speech == nil || !x.speech.full) {
					x.unpause()
				}
			}
		})
	})
	if !x.paused {
		x.closeWith(1013, "too busy; try again later", inboundFull)
	}
	return x.paused
}

func (x *held) inflated(fr wsframe.Frame) func(p []byte, e *wsframe.Error) bool {
	return func(p []byte, e *wsframe.Error) bool {
		if e != nil {
			x.closeWith(e.Code, e.Reason, badFrame)
			return false
		}
		fr.Payload = p
		return x.message(fr)
	}
}

// closeWith says goodbye, after what of a frame is still to be written, and waits a while for the client's own close
// (RFC 6455 §7.1.1).
func (x *held) closeWith(code ws.StatusCode, reason string, why dropReason) {
	x.finish(wsframe.AppendClose(nil, code, reason), why)
}
