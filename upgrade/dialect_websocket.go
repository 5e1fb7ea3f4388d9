package upgrade

import (
	"bytes"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"holdfast/internal/appcall"
	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/inflate"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/subscribe"
	"holdfast/internal/wsframe"
)

// codeGap closes a WebSocket without subprotocol that has missed messages: its frames are the messages' data and
// nothing else, so a gap can't be sent.
const codeGap = 4000

// webSocket has what the WebSocket dialects share.
type webSocket struct {
	stream
	words
	k        *Keeper
	upgrader websocket.FastHTTPUpgrader
	rendered *hub.Encoding
	deflated bool // permessage-deflate is agreed on
	whole    bool // messages of clients are assembled and handled; false: they are ignored
	login    bool // the client's cookies and Authorization are kept for later requests
}

// words are the methods in which the WebSocket dialects differ.
type words interface {
	// onMessage takes a whole message of the client. It reports whether the connection stays open.
	onMessage(x *held, p []byte, op ws.OpCode) bool

	// reject responds to an invalid message. It reports whether the connection stays open.
	reject(in *inbound, ref string, err error) bool

	// reply sends the app's response. It reports whether the connection stays open.
	reply(in *inbound, ref string, r appcall.Reply, err error) bool

	// dispatch executes a message whose turn it is. It reports whether the connection stays open.
	dispatch(in *inbound, p []byte, op ws.OpCode) bool
}

func newWebSocket(k *Keeper, subprotocols []string) webSocket {
	return webSocket{k: k, whole: len(subprotocols) > 0 || k.o.Message != nil, upgrader: websocket.FastHTTPUpgrader{
		Subprotocols: subprotocols,
		CheckOrigin:  func(*fasthttp.RequestCtx) bool { return true }, // the origin was checked for all dialects
	}}
}

func (*webSocket) transport() string { return "websocket" }
func (*webSocket) Status() int       { return 101 }

func (d *webSocket) encoding() *hub.Encoding { return d.rendered }

// Matches reports whether a request is for a WebSocket, and offers permessage-deflate if the dialect needs that.
func (d *webSocket) Matches(r *subscribe.Choice) bool {
	return r.WantsWebSocket(d.deflated) && (d.k.o.Compress > 0 || !d.deflated)
}

func (*webSocket) Check(ctx *fasthttp.RequestCtx, _ *Spec) (int, string) {
	return subscribe.CheckHandshake(ctx)
}

func (d *webSocket) Accept(ctx *fasthttp.RequestCtx, v *subscribe.Request) (int, string) {
	return v.AcceptWebSocket(ctx, &d.upgrader, d.deflated, d.login)
}

// keepLogin stores the client's cookies and Authorization, if it may send requests later.
func (d *webSocket) keepLogin(x *held, s *Spec) {
	if s.Login != nil {
		in := inboundOf(x)
		in.login = s.Login
	}
}

// read takes one turn of the client's bytes; the rest waits. It reports whether the connection stays open.
func (d *webSocket) read(x *held, p []byte) bool {
	var f *receive.Frames
	if in, ok := x.state.(*inbound); ok {
		f = in.frames
	}
	if f == nil {
		f = receive.NewFrames(d.whole, d.deflated)
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
		fr, used, e := f.Next(p, d.k.live().MaxMessage)
		if e != nil {
			d.closeWith(x, e.Code, e.Reason, ending.BadFrame)
			return false
		}
		if used == 0 {
			break
		}
		p = p[used:]
		if fr.Message != 0 {
			f.Since = x.c.Loop().Now()
		}
		if !d.onFrame(x, fr) {
			return false
		}
	}
	return d.keepFrames(x, f, p)
}

// resume continues with the frames that were read already.
func (d *webSocket) resume(x *held) bool {
	in, ok := x.state.(*inbound)
	if ok && (in.inflating || in.full && in.asking) { // the end of that resumes it
		x.paused = true
		return false
	}
	if ok && len(in.queued) > 0 { // of another process, or from before a move that did not happen
		if in.resumeQueued(true); x.c.Handler() != park.Handler(x) {
			return false
		}
		in, ok = x.state.(*inbound)
	}
	return !ok || in.frames == nil || !in.frames.Unread() || d.read(x, nil)
}

// onFrame executes a frame. It reports whether the connection stays open.
func (d *webSocket) onFrame(x *held, fr wsframe.Frame) bool {
	switch {
	case fr.Message != 0 && fr.Deflated:
		x.spendFrame()
		return d.inflate(x, fr)
	case fr.Message != 0:
		return d.onMessage(x, fr.Payload, fr.Message)
	}
	x.spendFrame()
	switch fr.Op {
	case ws.OpPing:
		return x.pong(controlPong, wsframe.Append(nil, ws.OpPong, fr.Payload))
	case ws.OpClose:
		d.closeWith(x, wsframe.CloseCode(fr.Payload), "", ending.ClientClosed)
		return false
	}
	return true
}

// inflate inflates a message and passes it on. It reports whether the connection stays open.
func (d *webSocket) inflate(x *held, fr wsframe.Frame) bool {
	limit := d.k.live().MaxMessage
	if inflate.IsSmall(len(fr.Payload), limit) {
		p, e := wsframe.Inflate(fr.Payload, fr.Message, limit)
		return d.inflated(x, fr.Message, p, e)
	}
	in := inboundOf(x)
	if !in.takes(len(fr.Payload)) {
		return false
	}
	in.inflating = true
	p, loop := bytes.Clone(fr.Payload), x.c.Loop()
	var out []byte
	var e *wsframe.Error
	done := ifHeld(x, func() {
		in.inflating = false
		in.dropIfIdle()
		if !d.inflated(x, fr.Message, out, e) {
			return
		}
		if in, ok := x.state.(*inbound); !ok || !in.full {
			x.unpause()
		}
	})
	x.paused = true
	d.k.working.Add(1)
	d.k.inflater.Go(p, fr.Message, limit, func(b []byte, err *wsframe.Error) {
		out, e = b, err
		d.k.received.Give(len(p))
		loop.Post(func() { d.k.working.Add(-1); done() })
	})
	return true
}

func (d *webSocket) inflated(x *held, op ws.OpCode, p []byte, e *wsframe.Error) bool {
	switch {
	case e == inflate.ErrBusy:
		d.closeWith(x, e.Code, e.Reason, ending.InboundFull)
		return false
	case e != nil:
		d.closeWith(x, e.Code, e.Reason, ending.BadFrame)
		return false
	}
	return d.onMessage(x, p, op)
}

// ping sends a ping, unless the client has not responded to the last one.
func (d *webSocket) ping(x *held, ping []byte) bool {
	if x.pinged && !x.paused { // what has come while no client was read is read first
		if x.read(); x.c.Handler() != park.Handler(x) {
			return false
		}
	}
	if x.pinged && !x.paused && !d.k.settling.Load() {
		x.end(ending.PongTimeout)
		return false
	}
	x.pinged = true
	return x.send(ping, true)
}

func (d *webSocket) drain(x *held) { d.closeWith(x, 1001, "shutting down", ending.Draining) }

func (d *webSocket) close(x *held, c ending.Closing) {
	code, text := c.WebSocket()
	d.closeWith(x, code, text, c.Why)
}

// closeWith sends a close frame, after the rest of a frame that is partly written, and waits a while for the client's
// own (RFC 6455 §7.1.1).
func (d *webSocket) closeWith(x *held, code ws.StatusCode, reason string, why ending.Reason) {
	x.finish(wsframe.AppendClose(nil, code, reason), why)
}

// release releases the state of what the client sends.
func (d *webSocket) release(x *held) {
	if in, ok := x.state.(*inbound); ok {
		d.dropFrames(x)
		d.k.received.Give(in.bytes)
		x.state = nil
	}
}

// keepFrames stores the bytes p and the fragments after a turn. It reports whether the connection stays open.
func (d *webSocket) keepFrames(x *held, f *receive.Frames, p []byte) bool {
	f.Keep(p)
	if f.Empty() {
		if in, ok := x.state.(*inbound); ok && in.frames == f {
			d.dropFrames(x)
		} else {
			f.Reuse()
		}
		return true
	}
	if inboundOf(x).frames = f; !f.Watched() {
		f.Since = x.c.Loop().Now()
		d.watch(x, f, d.k.live().ReceiveTime)
	}
	if !d.k.receive(x, f.Grown()) {
		d.closeWith(x, 1013, tooMuch, ending.InboundFull)
		return false
	}
	f.Counted()
	return true
}

// dropFrames drops what is incomplete.
func (d *webSocket) dropFrames(x *held) {
	in := x.state.(*inbound)
	if in.frames != nil {
		in.frames.Release(d.k.received)
		in.frames = nil
	}
	in.dropIfIdle()
}

// watch checks after t whether a message that has begun arrives fast enough.
func (d *webSocket) watch(x *held, f *receive.Frames, t time.Duration) {
	loop := x.c.Loop()
	check := ifHeld(x, func() {
		if in, ok := x.state.(*inbound); !ok || in.frames != f {
			return
		}
		if x.paused || d.k.settling.Load() { // Holdfast has paused the client, so the delay is not the client's
			f.Since = loop.Now()
		}
		if left := f.Left(d.k.live().ReceiveTime, loop.Now()); left > 0 {
			d.watch(x, f, left)
			return
		}
		d.closeWith(x, ws.StatusPolicyViolation, "the message has begun and does not come", ending.SlowSender)
	})
	f.Watch(t, func() { loop.Post(check) })
}
