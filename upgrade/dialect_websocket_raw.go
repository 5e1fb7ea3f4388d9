package upgrade

import (
	"errors"
	"slices"

	"github.com/gobwas/ws"

	"holdfast/internal/appcall"
	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/wsframe"
	"holdfast/internal/wsrender"
)

// webSocketRaw is a WebSocket without subprotocol: frames are the data of messages; those of clients go to the app.
type webSocketRaw struct{ webSocket }

func newWebSocketRaw(k *Keeper) dialect {
	d := &webSocketRaw{newWebSocket(k, nil)}
	d.words, d.rendered, d.login = d, wsrender.Raw, k.o.Message != nil
	return d
}

// newDeflatedWebSocketRaw returns it with permessage-deflate.
func newDeflatedWebSocketRaw(k *Keeper) dialect {
	d := newWebSocketRaw(k).(*webSocketRaw)
	d.deflated, d.rendered = true, wsrender.RawDeflated(k.o.Compress)
	return d
}

func (d *webSocketRaw) Name() string {
	if d.deflated {
		return "websocket, deflated"
	}
	return "websocket"
}

func (d *webSocketRaw) begin(x *held, s *Spec, replay hub.Replay) {
	d.keepLogin(x, s)
	if len(replay.Gaps) == 0 {
		x.beginStream(s.Handshake, replay)
		return
	}
	if x.send(s.Handshake, false) {
		d.closeWith(x, codeGap, gapText, ending.GapUnsupported)
	}
}

const gapText = "gap: history does not reach back to last_id"

func (d *webSocketRaw) canGap() bool       { return false }
func (d *webSocketRaw) gap(hub.Gap) []byte { return nil }

func (d *webSocketRaw) changed(*held, channelChange, hub.Replay) []byte { return nil }

func (d *webSocketRaw) heartbeat(x *held) bool { return d.ping(x, wsrender.Ping) }

func (d *webSocketRaw) onMessage(x *held, p []byte, op ws.OpCode) bool {
	if d.k.o.Message != nil {
		x.spend(d.k.live().MessageRate)
		return inboundOf(x).onMessage(p, op)
	}
	x.spendFrame()
	d.k.stats.ClientMessages.Add(1)
	return true
}

func (d *webSocketRaw) dispatch(in *inbound, p []byte, op ws.OpCode) bool {
	return in.post(appcall.ClientMessage{Data: slices.Clone(p), Binary: op == ws.OpBinary}, "")
}

// reject closes the connection: there is no other way to report an error.
func (d *webSocketRaw) reject(in *inbound, _ string, err error) bool {
	d.closeWith(in.x, ws.StatusPolicyViolation, err.Error(), ending.TooManyErrors)
	return false
}

func (d *webSocketRaw) reply(in *inbound, _ string, r appcall.Reply, err error) bool {
	if err != nil {
		code := ws.StatusCode(ws.StatusInternalServerError)
		if r.Status == 401 || r.Status == 403 {
			code = ws.StatusCode(4000 + r.Status)
		}
		d.closeWith(in.x, code, err.Error(), ending.MessageFailed)
		return false
	}
	return r.None || in.x.send(wsframe.Append(nil, wsframe.DataOp(r.Binary), r.Data), false)
}

var errBusy = errors.New("too busy")
