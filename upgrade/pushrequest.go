package upgrade

import (
	"log/slog"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// pushRequest is one request to the push URL while a worker has it: the connection that fasthttp sees. Once a
// hold is decided, what fasthttp writes is buffered: the loop sends it after the channels are joined.
type pushRequest struct {
	*park.Stream
	k   *Keeper
	req request.Request // what follows its head: early frames, or the next request

	form    *form         // set by the handler: the connection is to be held
	spec    Spec          // how; authorize fills in who and what
	subject *auth.Subject // whom a revocation may concern; nil: anybody may hold this

	revocationSeq uint64 // before that was decided

	reject     rejectReason // of a refusal; zero: its status says it
	hint       string       // of a refusal, for the app's developer
	setCookie  []string     // of the app's responses, for the client
	retryAfter string       // the same

	came    time.Time // when the request did
	written []byte
	wasIdle bool
}

func (v *pushRequest) idle() {
	v.wasIdle = true
	v.Idle()
}

// Write implements net.Conn for fasthttp. Once the request is to be held, Write buffers, and the loop sends the bytes
// later.
func (v *pushRequest) Write(p []byte) (int, error) {
	if v.form != nil {
		v.written = append(v.written, p...)
		return len(p), nil
	}
	return v.Stream.Write(p)
}

// serve runs on a worker.
func (v *pushRequest) serve() {
	err := v.k.engine.ServeConn(v)
	form := v.form
	v.Release(func(c *park.Conn, unread []byte) {
		switch {
		case form != nil && v.Gone():
			v.k.stats.drop(clientGone)
			c.Close()
		case form != nil && v.turnAway(c):
		case form != nil:
			x := &held{k: v.k, form: form}
			v.spec.Handshake, v.spec.Rest = v.written, v.req.Rest
			x.begin(c, &v.spec)
		case err == nil && v.wasIdle && len(unread) == 0 && !v.Gone():
			v.k.o.Resume(c, v.req.Rest, true)
		default:
			park.Linger(c)
		}
	})
}

// turnAway refuses, on the loop, what is not allowed any more: something was revoked since it was decided, or the token
// has expired. Nothing of the channels has been sent yet. What is revoked later finds the connection held.
func (v *pushRequest) turnAway(c *park.Conn) bool {
	k := v.k
	switch {
	case v.subject == nil:
		return false
	case v.spec.Token != nil && v.spec.Token.Expired(time.Now()):
		k.turnAway(c, &v.req, 401, auth.ErrTokenExpired.Error())
		return true
	case !k.revocations.ChangedSince(v.revocationSeq, v.subject):
		return false
	}
	k.logRejected(slog.LevelInfo, "revoked while it was authorized", request.AddrText(v.req.Client), "user", v.spec.User)
	if mediaType, _ := v.form.postponed("", "", ""); v.spec.Ask == nil && mediaType == "" {
		k.turnAway(c, &v.req, 403, "disconnected")
	} else { // the client comes back, and is decided about again
		k.turnAway(c, &v.req, 503, errUnavailable.Error())
	}
	return true
}
