package upgrade

import (
	"fmt"

	"holdfast/internal/hub"
	"holdfast/internal/park"
)

func (x *held) beginLongPoll(replay hub.Replay) {
	if len(replay.Messages) > 0 || len(replay.Gaps) > 0 || x.wait <= 0 {
		x.answer(replay.Messages, replay.Gaps)
		return
	}
	x.c.SetDeadline(x.wait)
}

// answer ends a long poll. next is where the client stands, so that what is published before its next
// poll is not lost. What would be more than an outbox comes with the next poll, from history.
func (x *held) answer(batch []*hub.Message, gaps []hub.Gap) {
	if x.answered {
		return
	}
	next := x.stand.Position()
	body := []byte(`{"messages":[`)
	for i, m := range batch {
		o := object(m)
		if i > 0 && len(body)+len(o) > x.k.o.Outbox {
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

	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n")
	head = x.allowOrigin(head)
	if x.close {
		head = append(head, "Connection: close\r\n"...)
	}
	head = fmt.Appendf(head, "Content-Length: %d\r\n\r\n", len(body))
	x.leave(answered)
	x.answered = true
	x.c.SetDeadline(x.k.o.Heartbeat)
	if x.send(append(head, body...), false) && x.out == nil {
		x.resume()
	}
}

// resume gives the connection back for its next request.
func (x *held) resume() {
	if x.close {
		park.Linger(x.c)
		return
	}
	x.k.o.Resume(x.c, x.rest)
}
