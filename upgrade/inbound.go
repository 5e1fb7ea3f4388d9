package upgrade

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/gobwas/ws"

	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/clientframe"
	"holdfast/internal/ending"
	"holdfast/internal/heldrecord"
	"holdfast/internal/park"
	"holdfast/internal/receive"
	"holdfast/internal/wsrender"
)

const (
	maxFrameErrors = 10 // beyond one for each valid message
	maxQueued      = 8  // messages that wait while the app handles an earlier one; then no more are read

	parsedOnLoop = 16 << 10 // bytes of a message; a longer one is parsed on a worker
)

// inbound is the state of a WebSocket whose client sends messages. It exists only while a field below is set.
type inbound struct {
	x *held
	d *webSocket

	frames *receive.Frames // an unfinished frame or message; nil in between

	login *auth.Request // without channels; nil unless push.live_subscribe or push.message_path

	frameErrors int
	asking      bool                 // a worker parses a message, or waits for the app
	inflating   bool                 // a worker inflates a message
	full        bool                 // queued is at its limit, and the client is not read until it is not
	queued      []heldrecord.Message // that arrived meanwhile; nil if none did
	bytes       int                  // in queued
}

// inboundOf returns the state of a WebSocket, and creates it if there is none.
func inboundOf(x *held) *inbound {
	in, ok := x.state.(*inbound)
	if !ok {
		in = &inbound{x: x, d: x.form.dialect.(interface{ base() *webSocket }).base()}
		x.state = in
	}
	return in
}

func (d *webSocket) base() *webSocket { return d }

// dropIfIdle drops a state in which no field is set.
func (in *inbound) dropIfIdle() {
	if in.frames == nil && in.login == nil && in.frameErrors == 0 && !in.asking && !in.inflating && !in.full && in.queued == nil {
		in.x.state = nil
	}
}

// alive reports whether the connection is still held, after something that may have ended it.
func (in *inbound) alive() bool {
	return in.x.state == any(in) && in.x.c.Handler() == park.Handler(in.x)
}

// onMessage takes a message of the client. It reports whether the connection stays open.
func (in *inbound) onMessage(p []byte, op ws.OpCode) bool {
	x := in.x
	x.k.stats.ClientMessages.Add(1)
	if !in.asking {
		return in.d.dispatch(in, p, op)
	}
	if !in.takes(len(p)) {
		return false
	}
	in.queued, in.bytes = append(in.queued, heldrecord.Message{Data: slices.Clone(p), Op: byte(op)}), in.bytes+len(p)
	if len(in.queued) >= maxQueued || in.bytes >= x.k.live().MaxMessage {
		in.full, x.paused = true, true
	}
	return true
}

// rejectFrame responds to an invalid message with an error, and closes the connection after too many.
func (in *inbound) rejectFrame(ref string, err error) bool {
	in.x.k.stats.ClientFaults.Add(1)
	return in.d.reject(in, ref, err)
}

// later runs work on a worker, and then done on the loop with what work returned, if the connection is still held; if
// work panics, the connection ends. Messages that arrive meanwhile are queued. It reports whether work was accepted.
func later[T any](in *inbound, run func(func()) bool, work func() T, done func(T)) bool {
	x, loop := in.x, in.x.c.Loop()
	then := func() { x.end(ending.InternalFailure) }
	after := ifHeld(x, func() { in.asking = false; then() })
	in.asking = true
	x.k.working.Add(1)
	started := run(func() {
		defer loop.Post(func() { x.k.working.Add(-1); after() })
		result := work()
		then = func() { done(result) }
	})
	if !started {
		in.asking = false
		x.k.working.Add(-1)
	}
	return started
}

// parse executes a message, or has a long one parsed on a worker first. It reports whether the connection stays open.
func (in *inbound) parse(p []byte) bool {
	if len(p) <= parsedOnLoop {
		return in.execute(clientframe.Parse(p))
	}
	if !in.takes(len(p)) {
		return false
	}
	k := in.x.k
	p = slices.Clone(p)
	type parsed struct {
		f   clientframe.Frame
		err error
	}
	work := func() (r parsed) {
		defer k.received.Give(len(p))
		r.f, r.err = clientframe.Parse(p)
		return r
	}
	if later(in, k.o.Poller.Go, work, func(r parsed) { in.resumeQueued(in.execute(r.f, r.err)) }) {
		return true
	}
	k.received.Give(len(p))
	return in.rejectFrame("", errBusy)
}

// execute executes a parsed message. It reports whether the connection stays open.
func (in *inbound) execute(f clientframe.Frame, err error) bool {
	k := in.x.k
	if err != nil {
		return in.rejectFrame(f.Ref, err)
	}
	if len(f.Channels) > k.live().MaxChannels {
		return in.rejectFrame(f.Ref, fmt.Errorf("more than %d channels", k.live().MaxChannels))
	}
	switch f.Type {
	case "ping":
		in.forgive()
		return in.x.send(wsrender.PongV1, true)
	case "message":
		if k.o.Message == nil {
			return in.rejectFrame(f.Ref, errors.New("client messages are off; see push.message_path"))
		}
		return in.post(appcall.ClientMessage{Data: f.Data, JSON: true}, f.Ref)
	case "token":
		return in.verifyToken(f.Token, f.Ref)
	case "unsubscribe":
		return in.moved(channelChange{leave: f.Channels, ref: f.Ref})
	}
	return in.subscribe(channelChange{join: f.Channels, after: ResumePoint{ID: f.LastID, HasID: f.HasLastID}, ref: f.Ref})
}

// forgive takes one error off the count, after a valid message.
func (in *inbound) forgive() { in.frameErrors = max(in.frameErrors-1, 0) }

// subscribe makes a change, after the app's authorization if needed. It reports whether the connection stays open.
func (in *inbound) subscribe(m channelChange) bool {
	x, k := in.x, in.x.k
	if x.tokenEnded() {
		return false
	}
	q := queryOf(x, m.join)
	switch d := auth.Decide(k.live().Rules, &q); {
	case d.Outcome == auth.Granted:
		return in.moved(m)
	case d.Outcome == auth.Refused:
		return in.rejectFrame(m.ref, k.requests().SubscribeError(&d, x.client()))
	case in.login == nil || !k.o.Live:
		return in.rejectFrame(m.ref, errors.New("channel needs authorization: put it in the URL, or enable push.live_subscribe"))
	default:
		return in.ask(m, d.Channels)
	}
}

// moved makes a change that is allowed. It reports whether the connection stays open.
func (in *inbound) moved(m channelChange) bool {
	if err := m.apply(in.x); err != nil {
		return in.rejectFrame(m.ref, err)
	}
	if !in.alive() {
		return false
	}
	in.forgive()
	return true
}

// authorized is the app's response to a subscribe.
type authorized struct {
	request auth.Request
	subject auth.Subject
	result  auth.Result
	err     error
	seq     uint64 // of auth.Revocations, before the request to the app
}

// ask requests authorization from the app on a worker, as for a new connection; the client's next messages wait. If the
// connection ends before the app responds, the response is dropped.
func (in *inbound) ask(m channelChange, channels []string) bool {
	x, k := in.x, in.x.k
	a := &authorized{request: *in.login}
	a.request.Channels = channels
	a.subject = auth.Subject{
		Credentials: k.auth.Credentials.Of([][]byte{[]byte(in.login.Cookie)}, nil), User: queryOf(x, nil).User,
		Channels: channels, Connection: k.index.ID(x),
	}
	work := func() *authorized {
		a.result, a.err = k.auth.Ask(&a.request, &a.subject, &a.seq, nil)
		return a
	}
	return later(in, k.auth.Go, work, func(a *authorized) {
		in.resumeQueued(in.onAuthorized(m, a))
	}) || in.rejectFrame(m.ref, errBusy)
}

// onAuthorized applies the app's response, unless something was revoked since the request. It reports whether the
// connection stays open.
func (in *inbound) onAuthorized(m channelChange, a *authorized) bool {
	x, k := in.x, in.x.k
	if x.tokenEnded() {
		return false
	}
	if a.err == nil && a.result.Allowed && k.auth.Revocations.ChangedSince(a.seq, &a.subject) {
		k.requests().LogRejected(slog.LevelInfo, "revoked while it was authorized", x.client(), "user", a.subject.User)
		a.err = auth.ErrUnavailable
	}
	if a.err != nil {
		return in.rejectFrame(m.ref, auth.ErrUnavailable)
	}
	q := queryOf(x, m.join)
	q.Result, q.Asked = &a.result, a.request.Channels
	d := auth.Decide(k.live().Rules, &q)
	if d.Outcome != auth.Granted {
		return in.rejectFrame(m.ref, k.requests().SubscribeError(&d, x.client()))
	}
	var again *auth.Request
	if k.auth.Renews(&a.result) {
		again = &a.request
	}
	x.setUser(d.User, again, a.result.Expires)
	m.join = d.Channels
	return in.moved(m)
}

// resumeQueued executes the messages that arrived meanwhile, if the connection stays open.
func (in *inbound) resumeQueued(on bool) {
	for on && !in.asking && len(in.queued) > 0 && !in.x.k.settling.Load() {
		m := in.queued[0]
		in.queued[0].Data = nil
		in.x.k.received.Give(len(m.Data))
		if in.queued, in.bytes = in.queued[1:], in.bytes-len(m.Data); len(in.queued) == 0 {
			in.queued = nil
		}
		on = in.d.dispatch(in, m.Data, ws.OpCode(m.Op))
	}
	if on && in.full && len(in.queued) < maxQueued && in.bytes < in.x.k.live().MaxMessage {
		in.full = false
		in.x.pause(0)
	}
}
