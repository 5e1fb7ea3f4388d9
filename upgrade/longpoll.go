package upgrade

import (
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

func (x *held) beginLongPoll(replay hub.Replay) {
	if len(replay.Messages) > 0 || len(replay.Gaps) > 0 || x.wait <= 0 {
		x.answer(replay.Messages, replay.Gaps)
		return
	}
	x.await(x.wait)
}

// answer ends a long poll. next is where the client stands, so that what is published before its next
// poll is not lost. What would be more than an outbox comes with the next poll, from history.
func (x *held) answer(batch []*hub.Message, gaps []hub.Gap) {
	if x.answered {
		return
	}
	next := x.stand.Position()
	body := append(x.c.Loop().Out()[:headRoom], `{"messages":[`...)
	for i, m := range batch {
		o := object(m)
		if i > 0 && len(body)-headRoom+len(o) > x.k.o.Outbox {
			next = batch[i-1].ID
			break
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, o...)
	}
	body = append(body, `],"next":"`...)
	body = next.Append(body)
	body = append(body, '"')
	for i, g := range gaps {
		if i == 0 {
			body = append(body, `,"gap":[`...)
		} else {
			body = append(body, ',')
		}
		body = append(body, quote(g.Channel)...)
	}
	if len(gaps) > 0 {
		body = append(body, ']')
	}
	body = append(body, "}\n"...)

	x.leave(answered)
	x.answered = true
	if !x.send(x.withHead(body), false) {
		return
	}
	if x.out != nil {
		x.c.SetDeadline(x.k.o.Heartbeat)
		return
	}
	x.resume()
}

// headRoom is left in front of an answer's body, so that the head can be written there once the length of
// the body is known.
const headRoom = 512

// withHead puts the head into the room before the body, or both together elsewhere if it is too long.
func (x *held) withHead(b []byte) []byte {
	var room [headRoom]byte
	head := append(room[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"...)
	head = x.allowOrigin(head)
	if x.close {
		head = append(head, "Connection: close\r\n"...)
	}
	head = append(head, "Content-Length: "...)
	head = strconv.AppendInt(head, int64(len(b)-headRoom), 10)
	head = append(head, "\r\n\r\n"...)
	if len(head) > headRoom {
		return append(head, b[headRoom:]...)
	}
	b = b[headRoom-len(head):]
	copy(b, head)
	return b
}

// refusePoll answers a poll that is not allowed any more.
func (x *held) refusePoll(status int, why string, reason dropReason) {
	body := `{"error":` + quote(why) + "}\n"
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n", status, fasthttp.StatusMessage(status))
	b = x.allowOrigin(b)
	if x.close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	x.leave(reason)
	x.answered = true
	if !x.send(b, false) {
		return
	}
	if x.out != nil {
		x.c.SetDeadline(x.k.o.Heartbeat)
		return
	}
	x.resume()
}

// resume gives the connection back for its next request.
func (x *held) resume() {
	if x.close {
		park.Linger(x.c)
		return
	}
	x.k.o.Resume(x.c, x.rest, !x.drained)
}
