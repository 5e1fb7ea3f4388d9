package upgrade

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gobwas/ws"

	"holdfast/internal/auth"
	"holdfast/internal/park"
	"holdfast/internal/wsframe"
)

const (
	maxFaults = 10 // beyond what is forgiven: one for each message that is as it should be
	maxLine   = 8  // messages that wait while the app is asked about an earlier one, or has it; then no more is read

	parsedOnLoop = 16 << 10 // bytes of a message; a longer one is read on a worker

	// What a message takes beside channels' names, and the longest name with its quotes.
	roomForType, roomForName, roomForToken = 1 << 10, 300, 8 << 10
)

// speech is what is known of a WebSocket whose client speaks the subprotocol, or speaks to the app. It exists from the
// first word, or from the start if the login is kept.
type speech struct {
	login *auth.Request // without channels; nil unless push.live_subscribe or push.message_path
	user  string        // whom the app has named

	faults int
	asking bool     // the app is asked or told, on a worker
	full   bool     // line is, and the client is not read until it is not
	line   [][]byte // said meanwhile; nil if nothing was
	bytes  int      // in line
}

// hear takes a message of a client that speaks the subprotocol, or to the app. It reports whether the connection goes on.
func (x *held) hear(p []byte, text bool) bool {
	x.k.stats.clientMessages.Add(1)
	if x.speech == nil {
		x.speech = new(speech)
	}
	s := x.speech
	switch {
	case !text && x.v1:
		return x.fault("", errors.New("a message is text, not binary"))
	case x.k.o.Message == nil && len(p) > max(roomForType+roomForName*x.k.o.MaxChannels, x.k.roomForToken()):
		return x.fault("", errors.New("a message is too long for what it can say"))
	case s.asking:
		x.k.stats.inbound.Add(int64(len(p)))
		if s.wait(p); len(s.line) >= maxLine || s.bytes >= x.k.o.MaxMessage {
			s.full, x.paused = true, true
		}
		return true
	}
	return x.obey(p)
}

// wait keeps what is said until the app has answered.
func (s *speech) wait(p []byte) {
	s.line, s.bytes = append(s.line, slices.Clone(p)), s.bytes+len(p)
}

// dropSpeech lets go of what is known of what the client says.
func (x *held) dropSpeech() {
	if s := x.speech; s != nil {
		x.k.stats.inbound.Add(int64(-s.bytes))
		x.speech = nil
	}
}

// fault answers what is not as it should be, and ends the connection when it is too much.
func (x *held) fault(ref string, err error) bool {
	x.k.stats.clientFaults.Add(1)
	if !x.v1 { // it cannot be told otherwise
		x.closeWith(ws.StatusPolicyViolation, err.Error(), unruly)
		return false
	}
	if x.speech.faults++; x.speech.faults > maxFaults {
		x.k.o.Log.Info("client closed: too many messages that are refused; see push.message_rate", "last", err, "client", x.c.RemoteAddr())
		x.closeWith(ws.StatusPolicyViolation, "too many messages that are refused", unruly)
		return false
	}
	b := append([]byte(`{"type":"error","error":`), quote(err.Error())...)
	return x.send(wsframe.Append(nil, ws.OpText, append(appendRef(b, ref), '}')), false)
}

// obey does what a message says, or has it read on a worker. It reports whether the connection goes on.
func (x *held) obey(p []byte) bool {
	if !x.v1 {
		return x.post(slices.Clone(p), false, "")
	}
	if len(p) <= parsedOnLoop {
		return x.obeySaid(parseSaid(p))
	}
	ref, loop := x.c.Ref(), x.c.Loop()
	p = slices.Clone(p)
	if x.speech.asking = x.k.o.Poller.Go(func() {
		s, err := parseSaid(p)
		loop.Post(func() {
			if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(x) {
				x.speech.asking = false
				x.goOn(x.obeySaid(s, err))
			}
		})
	}); !x.speech.asking {
		return x.fault("", errBusy)
	}
	return true
}

var errBusy = errors.New("too busy")

// obeySaid does what a message says. It reports whether the connection goes on.
func (x *held) obeySaid(s said, err error) bool {
	if err != nil {
		return x.fault(s.ref, err)
	}
	if len(s.channels) > x.k.o.MaxChannels {
		return x.fault(s.ref, fmt.Errorf("more than %d channels", x.k.o.MaxChannels))
	}
	switch s.kind {
	case "ping":
		x.speech.faults = max(x.speech.faults-1, 0)
		return x.send(pongFrameV1, true)
	case "message":
		if x.k.o.Message == nil {
			return x.fault(s.ref, errors.New("messages are not taken here; see push.message_path"))
		}
		return x.post(s.data, true, s.ref)
	case "token":
		return x.hearToken(s.token, s.ref)
	case "unsubscribe":
		return x.moved(move{leave: s.channels, ref: s.ref})
	}
	var asked []string
	held := x.stand.Group()
	for _, name := range s.channels {
		if err := x.k.mayExist(name); err != nil {
			return x.fault(s.ref, fmt.Errorf("%.300s: %w", name, err))
		}
		who, _ := x.k.o.Rule(name)
		switch {
		case held.Holds(name):
		case who == Token && (x.session == nil || !x.session.pass.opens([]string{name})):
			return x.fault(s.ref, fmt.Errorf("%.300s: %w", name, errTokenChannel))
		case who == Token && x.k.notOwned([]string{name}, &auth.Result{User: x.session.user}):
			return x.fault(s.ref, errOwner)
		case who == Authorize && !slices.Contains(asked, name):
			asked = append(asked, name)
		}
	}
	m := move{join: s.channels, after: s.after, ref: s.ref}
	switch {
	case len(asked) == 0:
		return x.moved(m)
	case x.speech.login == nil || !x.k.o.Live:
		return x.fault(s.ref, errors.New("these channels need push.live_subscribe, or to be asked for when the connection begins"))
	}
	return x.ask(m, asked)
}

// moved makes a change that needs nobody's leave. It reports whether the connection goes on.
func (x *held) moved(m move) bool {
	gone := x.c.Ref()
	if err := x.move(m); err != nil {
		return x.fault(m.ref, err)
	}
	if c, ok := gone.Conn(); !ok || c.Handler() != x {
		return false
	}
	x.speech.faults = max(x.speech.faults-1, 0)
	return true
}

// ask lets a worker ask the app, as at the start, and what the client says meanwhile wait. The connection may end
// before the answer, which then concerns nobody.
func (x *held) ask(m move, asked []string) bool {
	k, ref, loop := x.k, x.c.Ref(), x.c.Loop()
	q := *x.speech.login
	q.Channels = asked
	x.speech.asking = true
	since := k.endings.now()
	if k.askers.run(func() {
		verdict, err := k.askApp(q)
		loop.Post(func() {
			if c, ok := ref.Conn(); ok && c.Handler() == x {
				if x.answerOf(m, asked, verdict, err); c.Handler() == x {
					x.endedMeanwhile(since)
				}
			}
		})
	}) {
		return true
	}
	x.speech.asking = false
	return x.fault(m.ref, errBusy)
}

// answerOf goes on with the app's answer, and then with what has been said meanwhile.
func (x *held) answerOf(m move, asked []string, verdict auth.Result, err error) {
	s := x.speech
	s.asking = false
	on := false
	switch {
	case err != nil:
		on = x.fault(m.ref, errors.New("could not be authorized now"))
	case !verdict.Allowed && verdict.Status == 401:
		on = x.fault(m.ref, errors.New("not logged in"))
	case !verdict.Allowed:
		on = x.fault(m.ref, errors.New("not allowed"))
	case x.k.notOwned(asked, &verdict):
		on = x.fault(m.ref, errOwner)
	case s.user != "" && verdict.User != s.user:
		on = x.fault(m.ref, errors.New("the login is another user's now; connect again"))
	default:
		if s.user == "" {
			s.user = verdict.User
		}
		q := *s.login
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
			on = x.fault(m.ref, errors.New("not allowed"))
		} else {
			on = x.moved(m)
		}
	}
	x.goOn(on)
}

// goOn does what has been said while the app was asked or told, if the connection goes on.
func (x *held) goOn(on bool) {
	s := x.speech
	for on && !s.asking && len(s.line) > 0 {
		p := s.line[0]
		s.line[0] = nil
		x.k.stats.inbound.Add(int64(-len(p)))
		if s.line, s.bytes = s.line[1:], s.bytes-len(p); len(s.line) == 0 {
			s.line = nil
		}
		on = x.obey(p)
	}
	if on && s.full && len(s.line) < maxLine && s.bytes < x.k.o.MaxMessage {
		s.full = false
		x.pause(0)
	}
}
