package subscribe

import (
	"log/slog"
	"slices"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/linger"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// Request is one request to subscribe while a worker serves it: the connection that fasthttp sees. Once the connection
// is to be held, Write buffers, and the loop sends the bytes after the channels are joined.
type Request struct {
	Spec      Spec     // how to hold the connection
	SetCookie []string // of the app's responses, for the client

	*park.Stream
	s   *Server
	req request.Request // bytes after its head: early frames, or the next request

	dialect Dialect       // set by the handler if the connection is to be held
	fields  string        // lines for the head of any response: the allowed origin, and SetCookie
	subject *auth.Subject // for revocations; nil: all channels are public

	revocationSeq uint64 // from before the decision
	closes        bool   // the client wants no further request if this one is refused

	reject     rejectReason // of a refusal; zero: the status implies it
	hint       string       // of a refusal, for the app's developer
	retryAfter string       // the same

	came    time.Time // when the request did
	written []byte
	silent  bool // nothing is written, see TakeOver
	wasIdle bool
}

func (v *Request) idle() {
	v.wasIdle = true
	v.Idle()
}

// Write implements net.Conn for fasthttp. Once the request is to be held, Write buffers, and the loop sends the bytes
// later.
func (v *Request) Write(p []byte) (int, error) {
	if v.dialect != nil {
		if !v.silent {
			v.written = append(v.written, p...)
		}
		return len(p), nil
	}
	return v.Stream.Write(p)
}

// serve runs on a worker.
func (v *Request) serve() {
	engine := v.s.small
	if len(v.req.Head) > smallHead {
		engine = v.s.large
	}
	err := engine.ServeConn(v)
	dialect := v.dialect
	if dialect != nil {
		v.s.o.Prepare(&v.Spec)
	}
	v.Release(func(c *park.Conn, unread []byte) {
		switch {
		case dialect != nil && v.Gone():
			v.s.o.Gone()
			c.Close()
		case dialect != nil && v.s.o.Moved(): // nothing was sent yet; the other process decides
			v.s.o.Resume(c, slices.Concat(v.req.Head, v.req.Rest), true)
		case dialect != nil && v.turnAway(c):
		case dialect != nil:
			v.Spec.Dialect, v.Spec.Handshake, v.Spec.Rest = dialect.Name(), v.written, v.req.Rest
			v.s.o.Hold(c, &v.Spec)
		case err == nil && v.wasIdle && len(unread) == 0 && !v.Gone():
			v.s.o.Resume(c, v.req.Rest, true)
		default:
			linger.Close(c)
		}
	})
}

// recheck returns why the client may not have its channels by rules that are newer than those of the decision.
func (v *Request) recheck() error {
	if v.s.o.Present == nil {
		return nil
	}
	old, rules := v.s.o.Rules, v.s.o.Present().Rules
	if old == rules {
		return nil
	}
	_, err := auth.Recheck(func(name string) channel.Access { return auth.Access(old, name) }, rules, v.Spec.Channels, v.Spec.User, v.Spec.Token)
	return err
}

// turnAway refuses, on the loop, a connection that is no longer allowed: the rules have changed since the decision,
// something was revoked, or the token has expired. Nothing of the channels was sent yet. A later revocation finds the connection held.
func (v *Request) turnAway(c *park.Conn) bool {
	s := v.s
	if err := v.recheck(); err != nil {
		s.logRejected(&v.req, slog.LevelInfo, "the rules in channels have changed while it was decided", "error", err)
		s.turnAway(c, &v.req, 503, auth.ErrUnavailable.Error(), v.fields) // the client comes again, and gets a new decision
		return true
	}
	switch {
	case v.subject == nil:
		return false
	case v.Spec.Token != nil && v.Spec.Token.Expired(time.Now()):
		s.turnAway(c, &v.req, 401, auth.ErrTokenExpired.Error(), v.fields)
		return true
	case !s.o.Auth.Revocations.ChangedSince(v.revocationSeq, v.subject):
		return false
	}
	s.logRejected(&v.req, slog.LevelInfo, "revoked while it was authorized", "user", v.Spec.User)
	if mediaType, _ := v.dialect.Postponed("", "", ""); v.Spec.Ask == nil && mediaType == "" {
		s.turnAway(c, &v.req, 403, "disconnected", v.fields)
	} else { // the client reconnects, and gets a new decision
		s.turnAway(c, &v.req, 503, auth.ErrUnavailable.Error(), v.fields)
	}
	return true
}
