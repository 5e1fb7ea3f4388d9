package upgrade

import (
	"errors"
	"fmt"

	"holdfast/internal/park"
)

// Said is what a client has said over its WebSocket.
type Said struct {
	Connection, User string
	Data             []byte
	JSON             bool // Data is one JSON value
}

// Reply is what the app has answered.
type Reply struct {
	Status int
	Data   []byte
	JSON   bool // Data is one JSON value
}

// post hands a message to the app, one of a connection at a time, and what is said meanwhile waits. The connection
// may end before the answer, which then concerns nobody.
func (in *inbound) post(data []byte, json bool, ref string) bool {
	x, k, conn, loop := in.x, in.x.k, in.x.c.Ref(), in.x.c.Loop()
	q, m := *in.login, Said{Connection: x.id(), Data: data, JSON: json}
	if x.session != nil {
		m.User = x.session.user
	}
	type response struct {
		r   Reply
		err error
	}
	work := func() (a response) {
		if a.r, a.err = k.o.Message(q, m); a.err != nil {
			k.stats.postErrors.Add(1)
			k.o.Log.Error("a client's message may be lost: the app has not answered (push.message_path)", "error", a.err)
		}
		k.stats.posted.Add(1)
		return a
	}
	busy := func() {
		if c, ok := conn.Conn(); ok && c.Handler() == park.Handler(x) {
			in.asking = false
			in.resumeQueued(in.replied(ref, Reply{}, errBusy))
		}
	}
	run := func(f func()) bool { // when it is this message's turn
		k.messages.Acquire(func() {
			if !k.o.Poller.Go(func() { f(); k.messages.Release() }) {
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
func (in *inbound) replied(ref string, r Reply, err error) bool {
	switch {
	case err == nil && r.Status >= 200 && r.Status < 300:
		in.forgive()
	case err == nil:
		err = fmt.Errorf("the app answered %d", r.Status)
	default: // what went wrong is for the log
		if r.Status = 503; !errors.Is(err, errBusy) {
			err = errors.New("the app has not answered; it may have taken the message")
		}
	}
	return in.d.reply(in, ref, r, err)
}
