package upgrade

import (
	"errors"

	"holdfast/internal/appcall"
)

// errNoLogin is of a connection that another process has begun, with a configuration in which clients sent no messages.
var errNoLogin = errors.New("this connection is older than push.message_path: connect again")

// post sends a message to the app, one of a connection at a time; the client's next messages wait. If the connection
// ends before the app responds, the response is dropped.
func (in *inbound) post(m appcall.ClientMessage, ref string) bool {
	x, k, loop := in.x, in.x.k, in.x.c.Loop()
	if in.login == nil {
		return in.rejectFrame(ref, errNoLogin)
	}
	size := len(m.Data)
	if !in.takes(size) {
		return false
	}
	q := *in.login
	m.Connection, m.User = k.index.ID(x), x.session.User()
	type response struct {
		r   appcall.Reply
		err error
	}
	work := func() (a response) {
		defer k.received.Give(size)
		a.r, a.err = k.o.Message(q, m)
		switch {
		case a.err == nil:
		case appcall.Unusable(a.err) != nil:
			k.stats.PostErrors.Add(1)
			k.o.Log.Error("response to a client message dropped", "error", a.err)
		default:
			k.stats.PostErrors.Add(1)
			k.o.Log.Error("client message may be lost: no response from push.message_path", "error", a.err)
		}
		k.stats.Posted.Add(1)
		return a
	}
	busy := ifHeld(x, func() {
		in.asking = false
		in.resumeQueued(in.replied(ref, appcall.Reply{}, errBusy))
	})
	run := func(f func()) bool { // f runs when it is this message's turn
		k.messages.Acquire(func() {
			if !k.o.Poller.Go(func() { defer k.messages.Release(); f() }) {
				k.working.Add(-1)
				k.received.Give(size)
				k.messages.Release()
				loop.Post(busy)
			}
		})
		return true
	}
	later(in, run, work, func(a response) { in.resumeQueued(in.replied(ref, a.r, a.err)) })
	return true
}

// replied sends the app's response to the client. It reports whether the connection stays open.
func (in *inbound) replied(ref string, r appcall.Reply, err error) bool {
	if !errors.Is(err, errBusy) {
		r, err = r.ForClient(err)
	} else {
		r.Status = 503
	}
	if err == nil {
		in.forgive()
	}
	return in.d.reply(in, ref, r, err)
}
