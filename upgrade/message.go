package upgrade

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"holdfast/internal/park"
	"holdfast/internal/wsframe"
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
func (x *held) post(data []byte, json bool, ref string) bool {
	k, conn, loop := x.k, x.c.Ref(), x.c.Loop()
	q, m := *x.speech.login, Said{Connection: x.id(), Data: data, JSON: json}
	if x.session != nil {
		m.User = x.session.user
	}
	x.speech.asking = true
	answer := func(r Reply, err error) {
		loop.Post(func() {
			if c, ok := conn.Conn(); ok && c.Handler() == park.Handler(x) {
				x.speech.asking = false
				x.goOn(x.replied(ref, r, err))
			}
		})
	}
	k.messages.enter(func() {
		if k.o.Poller.Go(func() {
			r, err := k.o.Message(q, m)
			k.messages.leave()
			if k.stats.posted.Add(1); err != nil {
				k.stats.postErrors.Add(1)
				k.o.Log.Error("a client's message may be lost: the app has not answered (push.message_path)", "error", err)
			}
			answer(r, err)
		}) {
			return
		}
		k.messages.leave()
		answer(Reply{}, errBusy)
	})
	return true
}

// replied tells the client what the app has answered. It reports whether the connection goes on.
func (x *held) replied(ref string, r Reply, err error) bool {
	good := err == nil && r.Status >= 200 && r.Status < 300
	if good {
		x.speech.faults = max(x.speech.faults-1, 0)
	}
	if err != nil { // what went wrong is for the log
		if r.Status = 503; !errors.Is(err, errBusy) {
			err = errors.New("the app has not answered; it may have taken the message")
		}
	} else if !good {
		err = fmt.Errorf("the app answered %d", r.Status)
	}
	switch {
	case !x.v1 && !good:
		code := ws.StatusCode(ws.StatusInternalServerError)
		if r.Status == 401 || r.Status == 403 {
			code = ws.StatusCode(4000 + r.Status)
		}
		x.closeWith(code, err.Error(), unposted)
		return false
	case !x.v1 && len(r.Data) == 0, good && ref == "" && len(r.Data) == 0:
		return true
	case !x.v1 && utf8.Valid(r.Data):
		return x.send(wsframe.Append(nil, ws.OpText, r.Data), false)
	case !x.v1:
		return x.send(wsframe.Append(nil, ws.OpBinary, r.Data), false)
	case !good:
		b := fmt.Appendf(nil, `{"type":"error","status":%d,"error":%s`, r.Status, quote(err.Error()))
		return x.send(wsframe.Append(nil, ws.OpText, append(appendRef(b, ref), '}')), false)
	}
	b := appendRef([]byte(`{"type":"reply"`), ref)
	if len(r.Data) > 0 {
		b = appendData(append(b, `,"data":`...), r.Data, r.JSON, !utf8.Valid(r.Data))
	}
	return x.send(wsframe.Append(nil, ws.OpText, append(b, '}')), false)
}
