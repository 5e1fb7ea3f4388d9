package upgrade

import (
	"errors"
	"fmt"

	"holdfast/internal/appcall"
	"holdfast/internal/park"
)

// post hands a message to the app, one of a connection at a time, and what is said meanwhile waits. The connection
// may end before the answer, which then concerns nobody.
func (in *inbound) post(m appcall.ClientMessage, ref string) bool {
	x, k, conn, loop := in.x, in.x.k, in.x.c.Ref(), in.x.c.Loop()
	size := len(m.Data)
	if !in.takes(size) {
		return false
	}
	q := *in.login
	m.Connection, m.User = x.id(), x.session.User()
	type response struct {
		r   appcall.Reply
		err error
	}
	work := func() (a response) {
		defer k.gave(size)
		a.r, a.err = k.o.Message(q, m)
		switch {
		case a.err == nil:
		case unusable(a.err) != nil:
			k.stats.postErrors.Add(1)
			k.o.Log.Error("response to a client message dropped", "error", a.err)
		default:
			k.stats.postErrors.Add(1)
			k.o.Log.Error("client message may be lost: no response from push.message_path", "error", a.err)
		}
		k.stats.posted.Add(1)
		return a
	}
	busy := func() {
		if c, ok := conn.Conn(); ok && c.Handler() == park.Handler(x) {
			in.asking = false
			in.resumeQueued(in.replied(ref, appcall.Reply{}, errBusy))
		}
	}
	run := func(f func()) bool { // when it is this message's turn
		k.messages.Acquire(func() {
			if !k.o.Poller.Go(func() { f(); k.messages.Release() }) {
				k.gave(size)
				k.messages.Release()
				loop.Post(busy)
			}
		})
		return true
	}
	later(in, run, work, func(a response) { in.resumeQueued(in.replied(ref, a.r, a.err)) })
	return true
}

// replied tells the client what the app has answered. It reports whether the connection goes on.
func (in *inbound) replied(ref string, r appcall.Reply, err error) bool {
	switch {
	case err == nil && r.Status >= 200 && r.Status < 300:
		in.forgive()
	case err == nil:
		err = fmt.Errorf("the app answered %d", r.Status)
	case unusable(err) != nil:
		r.Status, err = 502, unusable(err)
	default: // what went wrong is for the log
		if r.Status = 503; !errors.Is(err, errBusy) {
			err = errors.New("the app has not answered; it may have taken the message")
		}
	}
	return in.d.reply(in, ref, r, err)
}

// unusable returns what a client is told of an error that says that the app has the message, and that its response is of
// no use; nil for others.
func unusable(err error) error {
	for _, known := range []error{appcall.ErrReplyTooLarge, appcall.ErrReplyInvalid, appcall.ErrReplyCut} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}
