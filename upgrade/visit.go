package upgrade

import (
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/park"
	"holdfast/internal/request"
)

// visit is one request to the push URL while a worker has it: the connection that fasthttp sees. Once a
// hold is decided, what fasthttp writes is kept back: the loop sends it after the channels are joined.
type visit struct {
	*park.Stream
	k   *Keeper
	req request.Request // what follows its head: early frames, or the next request

	form *form // set by the handler: the connection is to be held
	spec Spec  // how, but for what follows
	join []string
	user string // whom the app has named
	pass *Pass  // what the client's token is good for; nil: it has none

	ask         *auth.Request // for the app to be asked again; nil: it will not be
	expires     time.Duration // when; zero: only when something has happened
	credentials []uint64      // of a client with a token
	asked       uint64        // of the keeper's endings, before the app was asked

	reject     rejectReason // of a refusal; zero: its status says it
	hint       string       // of a refusal, for the app's developer
	setCookie  []string     // of the app's responses, for the client
	retryAfter string       // the same

	came    time.Time // when the request did
	written []byte
	wasIdle bool
}

func (v *visit) idle() {
	v.wasIdle = true
	v.Idle()
}

// Write is fasthttp's.
func (v *visit) Write(p []byte) (int, error) {
	if v.form != nil {
		v.written = append(v.written, p...)
		return len(p), nil
	}
	return v.Stream.Write(p)
}

// serve runs on a worker.
func (v *visit) serve() {
	err := v.k.engine.ServeConn(v)
	form := v.form
	v.Release(func(c *park.Conn, unread []byte) {
		switch {
		case form != nil && v.Gone():
			v.k.stats.drop(clientGone)
			c.Close()
		case form != nil:
			x := &held{k: v.k, form: form}
			x.begin(c, v.holdSpec())
		case err == nil && v.wasIdle && len(unread) == 0 && !v.Gone():
			v.k.o.Resume(c, v.req.Rest, true)
		default:
			park.Linger(c)
		}
	})
}

// holdSpec is how the connection is to be held.
func (v *visit) holdSpec() *Spec {
	s := &v.spec
	s.Channels, s.User, s.Token, s.Ask, s.Expires = v.join, v.user, v.pass, v.ask, v.expires
	s.Handshake, s.Rest, s.credentials, s.asked = v.written, v.req.Rest, v.credentials, v.asked
	return s
}
