package upgrade

import (
	"bytes"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/subscribe"
	"holdfast/internal/wsframe"
)

// codeGap closes a WebSocket without subprotocol that has missed messages: its frames are the messages' data and
// nothing else, so a gap can't be sent.
const codeGap = 4000

var pingFrame = wsframe.Append(nil, ws.OpPing)

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
	if !http1.HasToken(r.Upgrade, "websocket") {
		return false
	}
	if d.deflated {
		_, ok := wsframe.AcceptDeflate([][]byte{r.Extensions})
		return ok
	}
	return true
}

func (*webSocket) Check(ctx *fasthttp.RequestCtx, _ *Spec) (int, string) {
	return subscribe.CheckHandshake(ctx)
}

func (d *webSocket) Accept(ctx *fasthttp.RequestCtx, v *subscribe.Request) (int, string) {
	h := &ctx.Response.Header
	for _, cookie := range v.SetCookie {
		h.Add(fasthttp.HeaderSetCookie, cookie)
	}
	if err := d.upgrader.Upgrade(ctx, func(*websocket.Conn) {}); err != nil {
		return 400, err.Error()
	}
	ctx.Hijack(nil) // the loop takes the connection over: a websocket.Conn would be garbage
	h.Del("Content-Type")
	if d.deflated {
		agreed, _ := wsframe.AcceptDeflate(ctx.Request.Header.PeekAll("Sec-WebSocket-Extensions"))
		h.Set("Sec-WebSocket-Extensions", agreed)
	}
	if d.login {
		login := v.AppRequest(ctx)
		login.Cookie = auth.ReplaceCookies(login.Cookie, v.SetCookie)
		v.Spec.Login = &login
	}
	return 0, ""
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
	var f *frames
	if in, ok := x.state.(*inbound); ok {
		f = in.frames
	}
	if f == nil {
		f = framesPool.Get().(*frames)
		f.Whole, f.Deflate = d.whole, d.deflated
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
			d.closeWith(x, e.Code, e.Reason, badFrame)
			return false
		}
		if used == 0 {
			break
		}
		p = p[used:]
		if fr.Message != 0 {
			f.since = x.c.Loop().Now()
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
		d.closeWith(x, wsframe.CloseCode(fr.Payload), "", clientClosed)
		return false
	}
	return true
}

// Messages up to these sizes are inflated on the loop; others on a worker.
const (
	inflatedOnLoop = 8 << 10   // compressed bytes
	inflatedInto   = 256 << 10 // inflated bytes at most
	maxInflation   = 1032      // inflated bytes at most per compressed byte
)

// inflate inflates a message and passes it on. It reports whether the connection stays open.
func (d *webSocket) inflate(x *held, fr wsframe.Frame) bool {
	limit := d.k.live().MaxMessage
	if n := len(fr.Payload); n <= inflatedOnLoop && min(n*maxInflation, limit) <= inflatedInto {
		p, e := wsframe.Inflate(fr.Payload, fr.Message, limit)
		return d.inflated(x, fr.Message, p, e)
	}
	in := inboundOf(x)
	if !in.takes(len(fr.Payload)) {
		return false
	}
	in.dropIfIdle()
	p, loop := bytes.Clone(fr.Payload), x.c.Loop()
	out, e := []byte(nil), errTooBusy // also if inflating panics
	done := ifHeld(x, func() {
		if !d.inflated(x, fr.Message, out, e) {
			return
		}
		if in, ok := x.state.(*inbound); !ok || !in.full {
			x.unpause()
		}
	})
	x.paused = true
	d.k.inflations.Acquire(func() {
		after := func() {
			d.k.received.Give(len(p))
			d.k.inflations.Release()
			loop.Post(done)
		}
		if !d.k.o.Poller.Go(func() { defer after(); out, e = wsframe.Inflate(p, fr.Message, limit) }) {
			after()
		}
	})
	return true
}

var errTooBusy = &wsframe.Error{Code: 1013, Reason: "too busy; try again later"}

func (d *webSocket) inflated(x *held, op ws.OpCode, p []byte, e *wsframe.Error) bool {
	switch {
	case e == errTooBusy:
		d.closeWith(x, e.Code, e.Reason, inboundFull)
		return false
	case e != nil:
		d.closeWith(x, e.Code, e.Reason, badFrame)
		return false
	}
	return d.onMessage(x, p, op)
}

// ping sends a ping, unless the client has not responded to the last one.
func (d *webSocket) ping(x *held, ping []byte) bool {
	if x.pinged && !x.paused {
		x.end(pongTimeout)
		return false
	}
	x.pinged = true
	return x.send(ping, true)
}

func (d *webSocket) drain(x *held) { d.closeWith(x, 1001, "shutting down", draining) }

// close sends a close code of 4000 and the status, such as 4401 for an expired token, unless c has a code of its own.
func (d *webSocket) close(x *held, c closing) {
	code, text := ws.StatusCode(4000+c.status), c.text
	switch {
	case c.code != 0:
		code, text = c.code, c.codeText
	case c.status == 503:
		code = 1013 // try again later
	}
	d.closeWith(x, code, text, c.why)
}

// closeWith sends a close frame, after the rest of a frame that is partly written, and waits a while for the client's
// own (RFC 6455 §7.1.1).
func (d *webSocket) closeWith(x *held, code ws.StatusCode, reason string, why closeReason) {
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

// frames is the received part of an incomplete frame or message; it exists only while there is one.
type frames struct {
	wsframe.Parser
	counted int         // bytes counted in Keeper.received
	since   time.Time   // when the message began
	timer   *time.Timer // checks whether the rest arrives in time; nil: not started
}

var framesPool = sync.Pool{New: func() any { return new(frames) }} // mostly a pong is complete

const leastSpeed = 1 << 10 // bytes per second of a message that has begun, beyond Options.ReceiveTime

// keepFrames stores the bytes p and the fragments after a turn. It reports whether the connection stays open.
func (d *webSocket) keepFrames(x *held, f *frames, p []byte) bool {
	f.Keep(p)
	if f.Empty() {
		if in, ok := x.state.(*inbound); ok && in.frames == f {
			d.dropFrames(x)
		} else {
			*f = frames{}
			framesPool.Put(f)
		}
		return true
	}
	if inboundOf(x).frames = f; f.timer == nil {
		f.since = x.c.Loop().Now()
		d.watch(x, f, d.k.live().ReceiveTime)
	}
	n := f.Size() - f.counted
	if !d.k.receive(x, n) {
		d.closeWith(x, 1013, tooMuch, inboundFull)
		return false
	}
	f.counted += n
	return true
}

// dropFrames drops what is incomplete.
func (d *webSocket) dropFrames(x *held) {
	in := x.state.(*inbound)
	if f := in.frames; f != nil {
		d.k.received.Give(f.counted)
		if f.timer != nil {
			f.timer.Stop()
		}
		in.frames = nil
	}
	in.dropIfIdle()
}

// watch checks after t whether a message that has begun arrives fast enough.
func (d *webSocket) watch(x *held, f *frames, t time.Duration) {
	if t <= 0 {
		return
	}
	loop := x.c.Loop()
	check := ifHeld(x, func() {
		if in, ok := x.state.(*inbound); !ok || in.frames != f {
			return
		}
		now := loop.Now()
		if x.paused { // Holdfast has paused the client, so the delay is not the client's
			f.since = now
		}
		left := d.k.live().ReceiveTime + time.Duration(f.Received())*time.Second/leastSpeed - now.Sub(f.since)
		if left > 0 {
			d.watch(x, f, left)
			return
		}
		d.closeWith(x, ws.StatusPolicyViolation, "the message has begun and does not come", slowSender)
	})
	f.timer = time.AfterFunc(t, func() { loop.Post(check) })
}
