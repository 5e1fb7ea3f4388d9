package upgrade

import (
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/deflate"
	"holdfast/internal/hub"
	"holdfast/internal/park"
)

func (x *held) beginLongPoll(replay hub.Replay) {
	if len(replay.Messages) > 0 || len(replay.Gaps) > 0 || x.wait <= 0 {
		x.answer(replay.Messages, replay.Gaps)
		return
	}
	x.await(time.Duration(x.wait) * time.Millisecond)
}

// answer ends a long poll. next is where the client stands, so that what is published before its next
// poll is not lost. What would be more than an outbox comes with the next poll, from history.
func (x *held) answer(batch []*hub.Message, gaps []hub.Gap) {
	if x.answered {
		return
	}
	next := x.stand.Position()
	n, size := x.fitting(batch)
	if n < len(batch) {
		next = batch[n-1].ID
	}
	out := x.c.Loop().Out()
	sent := false
	x.leave(answered)
	x.answered = true
	switch zip := x.compress && size >= x.k.o.Compress; {
	case zip:
		sent = x.sendPieces(gzipped(batch[:n], appendAnswerEnd(nil, next, gaps)))
	case size <= cap(out)/2:
		body := append(out[:headRoom], answerBegin...)
		for i, m := range batch[:n] {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(body, object(m)...)
		}
		sent = x.send(x.withHead(appendAnswerEnd(body, next, gaps)), false)
	default:
		sent = x.sendPieces(plain(batch[:n], appendAnswerEnd(nil, next, gaps)))
	}
	if !sent {
		return
	}
	for i, m := range batch {
		if i < n && x.out == nil {
			m.Delivered()
		} else {
			m.Queued()
		}
	}
	x.answerSent()
}

// answerSent gives the connection back, now or when the client has read the answer.
func (x *held) answerSent() {
	if x.out != nil {
		x.c.SetDeadline(x.k.o.Heartbeat)
		return
	}
	x.resume()
}

const answerBegin = `{"messages":[`

// fitting returns how many of the messages one answer has room for, one at least, and their bytes in it.
func (x *held) fitting(batch []*hub.Message) (n, size int) {
	for i, m := range batch {
		more := len(object(m))
		if i > 0 {
			if more++; size+more > x.k.o.Outbox {
				break
			}
		}
		n, size = n+1, size+more
	}
	return n, size
}

// appendAnswerEnd appends what comes after the messages.
func appendAnswerEnd(b []byte, next hub.ID, gaps []hub.Gap) []byte {
	b = append(b, `],"next":"`...)
	b = next.Append(b)
	b = append(b, '"')
	for i, g := range gaps {
		if i == 0 {
			b = append(b, `,"gap":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, quote(g.Channel)...)
	}
	if len(gaps) > 0 {
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

// pieces are an answer's body: what is around the messages, and the messages, each in a form that all answers share.
type pieces struct {
	begin, between, end []byte
	batch               []*hub.Message
	object              func(*hub.Message) []byte
	zip                 bool
}

var comma = []byte{','}

func plain(batch []*hub.Message, end []byte) *pieces {
	return &pieces{begin: []byte(answerBegin), between: comma, end: end, batch: batch, object: object}
}

func gzipped(batch []*hub.Message, end []byte) *pieces {
	return &pieces{
		begin:   deflate.AppendStored([]byte(deflate.GzipHead), []byte(answerBegin), false),
		between: deflate.AppendStored(nil, comma, false),
		end:     gzipSum(batch, end).AppendTrailer(deflate.AppendStored(nil, end, true)),
		batch:   batch, object: deflatedObject, zip: true,
	}
}

// gzipSum is the sum of an answer without compression.
func gzipSum(batch []*hub.Message, end []byte) *deflate.Sum {
	sum := new(deflate.Sum)
	sum.Add([]byte(answerBegin))
	for i, m := range batch {
		if i > 0 {
			sum.Add(comma)
		}
		sum.Add(object(m))
	}
	sum.Add(end)
	return sum
}

// size is that of all pieces together.
func (p *pieces) size() int {
	n := len(p.begin) + len(p.end) + max(len(p.batch)-1, 0)*len(p.between)
	for _, m := range p.batch {
		n += len(p.object(m))
	}
	return n
}

// largeObject is sent by itself: a slow client waits for the form that all others share, and not for a copy.
const largeObject = 4 << 10

// sendPieces sends an answer. It reports whether the connection goes on.
func (x *held) sendPieces(p *pieces) bool {
	buf := append(x.appendHead(x.c.Loop().Out()[:0], p.size(), p.zip), p.begin...)
	for i, m := range p.batch {
		if i > 0 {
			buf = append(buf, p.between...)
		}
		o := p.object(m)
		if len(o) < largeObject && len(buf)+len(o) <= cap(buf) {
			buf = append(buf, o...)
			continue
		}
		if !x.sendPiece(buf, false, false) || !x.sendPiece(o, true, false) {
			return false
		}
		buf = buf[:0]
	}
	return x.sendPiece(append(buf, p.end...), false, false)
}

// headRoom is left in front of an answer's body, so that the head can be written there once the length of
// the body is known.
const headRoom = 512

// withHead puts the head into the room before the body, or both together elsewhere if it is too long.
func (x *held) withHead(b []byte) []byte {
	var room [headRoom]byte
	head := x.appendHead(room[:0], len(b)-headRoom, false)
	if len(head) > headRoom {
		return append(head, b[headRoom:]...)
	}
	b = b[headRoom-len(head):]
	copy(b, head)
	return b
}

func (x *held) appendHead(b []byte, length int, zip bool) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"...)
	b = append(b, x.fields...)
	if x.k.o.Compress > 0 {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	if zip {
		b = append(b, "Content-Encoding: gzip\r\n"...)
	}
	if x.close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, "\r\n\r\n"...)
}

// refusePoll answers a poll that is not allowed any more.
func (x *held) refusePoll(status int, why string, reason dropReason) {
	body := `{"error":` + quote(why) + "}\n"
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n", status, fasthttp.StatusMessage(status))
	b = append(b, x.fields...)
	if status == 429 {
		b = append(append(append(b, "Retry-After: "...), retryCrowded...), "\r\n"...)
	}
	if x.close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	x.leave(reason)
	x.answered = true
	if x.send(b, false) {
		x.answerSent()
	}
}

// dropRest lets go of what was read of the next request.
func (x *held) dropRest() {
	if x.kind == longPoll {
		x.k.stats.inbound.Add(int64(-len(x.rest)))
		x.rest = nil
	}
}

// resume gives the connection back for its next request.
func (x *held) resume() {
	rest := x.rest
	x.dropRest()
	if x.close {
		park.Linger(x.c)
		return
	}
	x.k.o.Resume(x.c, rest, !x.drained)
}
