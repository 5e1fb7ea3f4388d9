package upgrade

import (
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/auth"
	"holdfast/internal/park"
)

const (
	maxFaults = 10 // beyond what is forgiven: one for each message that is as it should be
	maxQueued = 8  // messages that wait while the app is asked about an earlier one, or has it; then no more is read

	parsedOnLoop = 16 << 10 // bytes of a message; a longer one is read on a worker

	// What a message takes beside channels' names, and the longest name with its quotes.
	roomForType, roomForName, roomForToken = 1 << 10, 300, 8 << 10
)

// inbound is the state of a WebSocket whose client has begun to send, speaks the subprotocol, or speaks to the app. It
// exists while there is something to know.
type inbound struct {
	x *held
	d *webSocket

	frames *frames // an unfinished frame or message; nil in between

	login *auth.Request // without channels; nil unless push.live_subscribe or push.message_path
	user  string        // whom the app has named

	faults int
	asking bool     // the app is asked or told, on a worker
	full   bool     // queued is, and the client is not read until it is not
	queued [][]byte // messages that came meanwhile; nil if none did
	bytes  int      // in queued
}

// inboundOf returns the state of a WebSocket, which it makes if there is none.
func inboundOf(x *held) *inbound {
	in, ok := x.state.(*inbound)
	if !ok {
		in = &inbound{x: x, d: x.form.dialect.(interface{ base() *webSocket }).base()}
		x.state = in
	}
	return in
}

func (d *webSocket) base() *webSocket { return d }

// forget lets go of a state in which nothing is to be known.
func (in *inbound) forget() {
	if in.frames == nil && in.login == nil && in.user == "" && in.faults == 0 && !in.asking && !in.full && in.queued == nil {
		in.x.state = nil
	}
}

// alive reports whether the connection is still held, after something that may have ended it.
func (in *inbound) alive() bool {
	return in.x.state == any(in) && in.x.c.Handler() == park.Handler(in.x)
}

// onMessage takes a message of the client. It reports whether the connection goes on.
func (in *inbound) onMessage(p []byte) bool {
	x := in.x
	x.k.stats.clientMessages.Add(1)
	if !in.asking {
		return in.d.dispatch(in, p)
	}
	x.k.stats.inbound.Add(int64(len(p)))
	in.queued, in.bytes = append(in.queued, slices.Clone(p)), in.bytes+len(p)
	if len(in.queued) >= maxQueued || in.bytes >= x.k.o.MaxMessage {
		in.full, x.paused = true, true
	}
	return true
}

// fault responds to what is not as it should be, and ends the connection when it is too much.
func (in *inbound) fault(ref string, err error) bool {
	in.x.k.stats.clientFaults.Add(1)
	return in.d.reject(in, ref, err)
}

// later runs work on a worker, and then done on the loop with what work returned, if the connection is still held. What
// comes meanwhile is queued. It reports whether a worker could be had.
func later[T any](in *inbound, run func(func()) bool, work func() T, done func(T)) bool {
	conn, loop, x := in.x.c.Ref(), in.x.c.Loop(), in.x
	in.asking = true
	started := run(func() {
		result := work()
		loop.Post(func() {
			if c, ok := conn.Conn(); ok && c.Handler() == park.Handler(x) {
				in.asking = false
				done(result)
			}
		})
	})
	if !started {
		in.asking = false
	}
	return started
}

// parse does what a message says, or has it parsed on a worker. It reports whether the connection goes on.
func (in *inbound) parse(p []byte) bool {
	if len(p) <= parsedOnLoop {
		return in.execute(parseClientFrame(p))
	}
	p = slices.Clone(p)
	type parsed struct {
		f   clientFrame
		err error
	}
	work := func() (r parsed) {
		r.f, r.err = parseClientFrame(p)
		return r
	}
	return later(in, in.x.k.o.Poller.Go, work, func(r parsed) { in.resumeQueued(in.execute(r.f, r.err)) }) || in.fault("", errBusy)
}

// execute does what a message says. It reports whether the connection goes on.
func (in *inbound) execute(f clientFrame, err error) bool {
	k := in.x.k
	if err != nil {
		return in.fault(f.ref, err)
	}
	if len(f.channels) > k.o.MaxChannels {
		return in.fault(f.ref, fmt.Errorf("more than %d channels", k.o.MaxChannels))
	}
	switch f.kind {
	case "ping":
		in.forgive()
		return in.x.send(pongFrameV1, true)
	case "message":
		if k.o.Message == nil {
			return in.fault(f.ref, errors.New("messages are not taken here; see push.message_path"))
		}
		return in.post(f.data, true, f.ref)
	case "token":
		return in.verifyToken(f.token, f.ref)
	case "unsubscribe":
		return in.moved(move{leave: f.channels, ref: f.ref})
	}
	return in.subscribe(f)
}

// forgive makes up for a fault: a message is as it should be.
func (in *inbound) forgive() { in.faults = max(in.faults-1, 0) }

// subscribe joins channels, or asks the app whether it may. It reports whether the connection goes on.
func (in *inbound) subscribe(f clientFrame) bool {
	x, k := in.x, in.x.k
	var asked []string
	held := x.membership.Group()
	for _, name := range f.channels {
		if err := k.mayExist(name); err != nil {
			return in.fault(f.ref, fmt.Errorf("%.300s: %w", name, err))
		}
		who, _ := k.o.Rule(name)
		switch {
		case held.Holds(name):
		case who == Token && (x.session == nil || !x.session.pass.opens([]string{name})):
			return in.fault(f.ref, fmt.Errorf("%.300s: %w", name, errTokenChannel))
		case who == Token && k.notOwned([]string{name}, &auth.Result{User: x.session.user}):
			return in.fault(f.ref, errOwner)
		case who == Authorize && !slices.Contains(asked, name):
			asked = append(asked, name)
		}
	}
	m := move{join: f.channels, after: f.after, ref: f.ref}
	switch {
	case len(asked) == 0:
		return in.moved(m)
	case in.login == nil || !k.o.Live:
		return in.fault(f.ref, errors.New("these channels need push.live_subscribe, or to be asked for when the connection begins"))
	}
	return in.ask(m, asked)
}

// moved makes a change that needs nobody's leave. It reports whether the connection goes on.
func (in *inbound) moved(m move) bool {
	if err := in.x.move(m); err != nil {
		return in.fault(m.ref, err)
	}
	if !in.alive() {
		return false
	}
	in.forgive()
	return true
}

// authorized is the app's response to a subscribe.
type authorized struct {
	verdict auth.Result
	err     error
}

// ask lets a worker ask the app, as at the start, and what the client sends meanwhile wait. The connection may end
// before the response, which then concerns nobody.
func (in *inbound) ask(m move, asked []string) bool {
	k := in.x.k
	q := *in.login
	q.Channels = asked
	since := k.endings.now()
	work := func() (a authorized) {
		a.verdict, a.err = k.askApp(q)
		return a
	}
	return later(in, k.askers.run, work, func(a authorized) {
		if in.resumeQueued(in.onAuthorized(m, asked, a)); in.alive() {
			in.x.endedMeanwhile(since)
		}
	}) || in.fault(m.ref, errBusy)
}

// onAuthorized goes on with the app's response. It reports whether the connection goes on.
func (in *inbound) onAuthorized(m move, asked []string, a authorized) bool {
	x, verdict := in.x, a.verdict
	switch {
	case a.err != nil:
		return in.fault(m.ref, errors.New("could not be authorized now"))
	case !verdict.Allowed && verdict.Status == 401:
		return in.fault(m.ref, errors.New("not logged in"))
	case !verdict.Allowed:
		return in.fault(m.ref, errors.New("not allowed"))
	case x.k.notOwned(asked, &verdict):
		return in.fault(m.ref, errOwner)
	case in.user != "" && verdict.User != in.user:
		return in.fault(m.ref, errors.New("the login is another user's now; connect again"))
	}
	if in.user == "" {
		in.user = verdict.User
	}
	q := *in.login
	q.Channels = asked
	if verdict.Expires <= 0 && len(x.k.o.LogoutCookies) == 0 {
		x.named(verdict.User, nil, 0)
	} else {
		x.named(verdict.User, &q, verdict.Expires)
	}
	if verdict.Channels != nil {
		m.join = slices.DeleteFunc(m.join, func(name string) bool {
			return slices.Contains(asked, name) && !slices.Contains(verdict.Channels, name)
		})
		m.join = append(m.join, less(verdict.Channels, slices.Sorted(slices.Values(m.join)))...) // parts of a pattern
	}
	if len(m.join) == 0 {
		return in.fault(m.ref, errors.New("not allowed"))
	}
	return in.moved(m)
}

// resumeQueued does what came while the app was asked or told, if the connection goes on.
func (in *inbound) resumeQueued(on bool) {
	for on && !in.asking && len(in.queued) > 0 {
		p := in.queued[0]
		in.queued[0] = nil
		in.x.k.stats.inbound.Add(int64(-len(p)))
		if in.queued, in.bytes = in.queued[1:], in.bytes-len(p); len(in.queued) == 0 {
			in.queued = nil
		}
		on = in.d.dispatch(in, p)
	}
	if on && in.full && len(in.queued) < maxQueued && in.bytes < in.x.k.o.MaxMessage {
		in.full = false
		in.x.pause(0)
	}
}
