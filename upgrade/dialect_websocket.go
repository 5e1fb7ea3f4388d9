package upgrade

import (
	"bytes"
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

// codeGap closes a WebSocket without subprotocol whose history does not reach back: its frames are the
// messages' data and nothing else, so there is no other way to tell.
const codeGap = 4000

var pingFrame = wsframe.Append(nil, ws.OpPing)

// webSocket is what the dialects of a WebSocket share.
type webSocket struct {
	stream
	words
	k        *Keeper
	upgrader websocket.FastHTTPUpgrader
	rendered *hub.Encoding
	deflated bool // permessage-deflate is agreed on
	whole    bool // what a client sends is for somebody
	login    bool // the client's login is kept for what it may want later
}

// words are what the dialects differ in.
type words interface {
	// onMessage takes a whole message of the client. It reports whether the connection goes on.
	onMessage(x *held, p []byte, op ws.OpCode) bool

	// reject responds to a message that is not as it should be. It reports whether the connection goes on.
	reject(in *inbound, ref string, err error) bool

	// reply sends what the app has responded. It reports whether the connection goes on.
	reply(in *inbound, ref string, r appcall.Reply, err error) bool

	// dispatch does what a message says that is due. It reports whether the connection goes on.
	dispatch(in *inbound, p []byte, op ws.OpCode) bool
}

func newWebSocket(k *Keeper, subprotocols []string) webSocket {
	return webSocket{k: k, whole: len(subprotocols) > 0 || k.o.Message != nil, upgrader: websocket.FastHTTPUpgrader{
		Subprotocols: subprotocols,
		CheckOrigin:  func(*fasthttp.RequestCtx) bool { return true }, // was checked for all dialects
	}}
}

func (*webSocket) transport() string { return "websocket" }
func (*webSocket) Status() int       { return 101 }

func (d *webSocket) encoding() *hub.Encoding { return d.rendered }

// matches is for a request that has its subprotocol, or need not.
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

// keepLogin makes the state of a connection whose client may want something later.
func (d *webSocket) keepLogin(x *held, s *Spec) {
	if s.Login != nil {
		in := inboundOf(x)
		in.login = s.Login
	}
}

// read takes bytes of the client, one turn of them; the rest waits for the next. It reports whether the connection
// goes on.
func (d *webSocket) read(x *held, p []byte) bool {
	var f *frames
	if in, ok := x.state.(*inbound); ok {
		f = in.frames
	}
	if f == nil {
		f = &frames{Parser: wsframe.Parser{Whole: d.whole, Deflate: d.deflated}}
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
		fr, used, e := f.Next(p, d.k.o.MaxMessage)
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

// resume goes on with the frames that were read already.
func (d *webSocket) resume(x *held) bool {
	in, ok := x.state.(*inbound)
	return !ok || in.frames == nil || !in.frames.Unread() || d.read(x, nil)
}

// onFrame does what a frame says. It reports whether the connection goes on.
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

// What is inflated on the loop; a message that could take longer goes to a worker.
const (
	inflatedOnLoop = 8 << 10   // bytes of it
	inflatedInto   = 256 << 10 // bytes that it may become
	maxInflation   = 1032      // bytes that one becomes at most
)

// inflate hands on a compressed message. It reports whether the connection goes on.
func (d *webSocket) inflate(x *held, fr wsframe.Frame) bool {
	limit := d.k.o.MaxMessage
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

func (d *webSocket) drain(x *held) { d.closeWith(x, 1001, "going down", draining) }

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

// closeWith says goodbye, after what of a frame is still to be written, and waits a while for the client's own close
// (RFC 6455 §7.1.1).
func (d *webSocket) closeWith(x *held, code ws.StatusCode, reason string, why closeReason) {
	x.finish(wsframe.AppendClose(nil, code, reason), why)
}

// release lets go of what is known of what the client sends.
func (d *webSocket) release(x *held) {
	if in, ok := x.state.(*inbound); ok {
		d.dropFrames(x)
		d.k.received.Give(in.bytes)
		x.state = nil
	}
}

// frames is what has come of a frame or a message that is not complete; it exists only while there is any.
type frames struct {
	wsframe.Parser
	counted int         // of the keeper's inbound bytes
	since   time.Time   // when the message began
	timer   *time.Timer // checks whether the rest arrives; nil: not yet
}

const leastSpeed = 1 << 10 // bytes a second of a message that has begun, beyond Options.ReceiveTime

// keepFrames stores what is unfinished after a turn: the bytes p, and the fragments of a message. It reports whether the
// connection goes on.
func (d *webSocket) keepFrames(x *held, f *frames, p []byte) bool {
	f.Keep(p)
	if f.Empty() {
		if in, ok := x.state.(*inbound); ok && in.frames == f {
			d.dropFrames(x)
		}
		return true
	}
	if inboundOf(x).frames = f; f.timer == nil {
		f.since = x.c.Loop().Now()
		d.watch(x, f, d.k.o.ReceiveTime)
	}
	n := f.Size() - f.counted
	if !d.k.receive(x, n) {
		d.closeWith(x, 1013, tooMuch, inboundFull)
		return false
	}
	f.counted += n
	return true
}

// dropFrames lets go of what is unfinished.
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

// watch looks after t whether a message that has begun comes fast enough.
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
		if x.paused { // it is Holdfast that does not read
			f.since = now
		}
		left := d.k.o.ReceiveTime + time.Duration(f.Received())*time.Second/leastSpeed - now.Sub(f.since)
		if left > 0 {
			d.watch(x, f, left)
			return
		}
		d.closeWith(x, ws.StatusPolicyViolation, "the message has begun and does not come", slowSender)
	})
	f.timer = time.AfterFunc(t, func() { loop.Post(check) })
}
