package upgrade

import (
	"errors"
	"fmt"

	"github.com/gobwas/ws"

	"holdfast/internal/appcall"
	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/jsontext"
	"holdfast/internal/render"
	"holdfast/internal/subscribe"
	"holdfast/internal/wsframe"
	"holdfast/internal/wsrender"
)

// subprotocol is the name of the JSON frames.
const subprotocol = "holdfast.v1"

// webSocketV1 is a WebSocket with the subprotocol: JSON frames both ways.
type webSocketV1 struct{ webSocket }

func newWebSocketV1(k *Keeper) dialect {
	d := &webSocketV1{newWebSocket(k, []string{subprotocol})}
	d.words, d.rendered, d.login = d, wsrender.V1, k.o.Live || k.o.Message != nil
	return d
}

// newDeflatedWebSocketV1 returns it with permessage-deflate.
func newDeflatedWebSocketV1(k *Keeper) dialect {
	d := newWebSocketV1(k).(*webSocketV1)
	d.deflated, d.rendered = true, wsrender.V1Deflated(k.o.Compress)
	return d
}

func (d *webSocketV1) Name() string {
	if d.deflated {
		return "websocket v1, deflated"
	}
	return "websocket v1"
}

func (d *webSocketV1) Matches(r *subscribe.Choice) bool {
	return subscribe.HasExactToken(r.Subprotocols, subprotocol) && d.webSocket.Matches(r)
}

func (d *webSocketV1) begin(x *held, s *Spec, replay hub.Replay) {
	d.keepLogin(x, s)
	b := wsframe.Append(s.Handshake, ws.OpText, render.Hello(x.membership.Position(), d.k.live().Heartbeat, replay))
	for _, g := range replay.Gaps {
		b = wsframe.Append(b, ws.OpText, render.Gap(g))
	}
	x.beginStream(b, replay)
}

func (d *webSocketV1) gap(g hub.Gap) []byte { return wsframe.Append(nil, ws.OpText, render.Gap(g)) }

func (d *webSocketV1) changed(x *held, m channelChange, replay hub.Replay) (b []byte) {
	for _, object := range m.objects(x, replay) {
		b = wsframe.Append(b, ws.OpText, object)
	}
	return b
}

// heartbeat sends a ping, and a frame that reaches the page.
func (d *webSocketV1) heartbeat(x *held) bool { return d.ping(x, wsrender.PingV1) }

func (d *webSocketV1) onMessage(x *held, p []byte, op ws.OpCode) bool {
	if string(p) == render.Ping {
		x.spendFrame()
		return x.pong(framePong, wsrender.PongV1)
	}
	x.spend(d.k.live().MessageRate)
	in := inboundOf(x)
	switch {
	case op != ws.OpText:
		d.k.stats.ClientMessages.Add(1)
		return in.rejectFrame("", errors.New("binary frame: holdfast.v1 has text frames only"))
	case d.k.o.Message == nil && len(p) > d.k.maxFrame():
		d.k.stats.ClientMessages.Add(1)
		return in.rejectFrame("", fmt.Errorf("frame too large: at most %d bytes", d.k.maxFrame()))
	}
	return in.onMessage(p, op)
}

func (d *webSocketV1) dispatch(in *inbound, p []byte, _ ws.OpCode) bool { return in.parse(p) }

func (d *webSocketV1) reject(in *inbound, ref string, err error) bool {
	if in.frameErrors++; in.frameErrors > maxFrameErrors {
		d.k.o.Log.Info("connection closed: too many rejected frames; see push.message_rate", "error", err, "client", in.x.client())
		d.closeWith(in.x, ws.StatusPolicyViolation, "too many rejected frames", ending.TooManyErrors)
		return false
	}
	return in.sendObject(jsontext.AppendString([]byte(`{"type":"error","error":`), err.Error()), ref)
}

func (d *webSocketV1) reply(in *inbound, ref string, r appcall.Reply, err error) bool {
	switch {
	case err != nil:
		return in.sendObject(jsontext.AppendString(fmt.Appendf(nil, `{"type":"error","status":%d,"error":`, r.Status), err.Error()), ref)
	case ref == "" && len(r.Data) == 0:
		return true
	}
	b := render.AppendRef([]byte(`{"type":"reply"`), ref)
	if !r.None {
		b = render.AppendData(append(b, `,"data":`...), r.Data, r.JSON, r.Binary)
	}
	return in.sendObject(b, "")
}

// sendObject adds the ref and the end to an object, and sends it.
func (in *inbound) sendObject(b []byte, ref string) bool {
	return in.x.send(wsframe.Append(nil, ws.OpText, append(render.AppendRef(b, ref), '}')), false)
}
