package upgrade

import (
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"holdfast/internal/deflate"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/park"
	"holdfast/internal/sendqueue"
)

// longPoll answers a request with the first messages, or with an empty list when the wait is over.
type longPoll struct{ k *Keeper }

func newLongPoll(k *Keeper) dialect { return longPoll{k} }

// poll is the state of a long poll.
type poll struct {
	rest        []byte // bytes of the next request
	fields      string // for the head of the response, as lines
	close, gzip bool   // as in Spec
}

func pollOf(x *held) *poll { return x.state.(*poll) }

func (longPoll) name() string      { return "longpoll" }
func (longPoll) transport() string { return "longpoll" }
func (longPoll) status() int       { return 200 }

// matches takes every request: this dialect is the last.
func (longPoll) matches(*choice) bool { return true }

func (d longPoll) check(ctx *fasthttp.RequestCtx, s *Spec) (int, string) {
	if len(ctx.Request.Header.Peek("Sec-WebSocket-Key")) > 0 {
		return 400, "a proxy on the way has dropped Upgrade: websocket"
	}
	wait, err := d.k.wait(ctx)
	if err != nil {
		return 400, err.Error()
	}
	s.Wait = wait
	return 0, ""
}

func (d longPoll) accept(ctx *fasthttp.RequestCtx, v *pushRequest) (int, string) {
	h := &ctx.Request.Header
	v.spec.Close = h.ConnectionClose() || http1.HasToken(h.Peek("Connection"), "close") || !h.IsHTTP11()
	v.spec.Gzip = d.k.o.Compress > 0 && http1.AcceptsGzip(h.PeekAll("Accept-Encoding"))
	takeOver(ctx, v)
	return 0, ""
}

func (longPoll) postponed(_, _, _ string) (contentType, body string) { return "", "" }

func (d longPoll) begin(x *held, s *Spec, replay hub.Replay) {
	x.state = &poll{rest: s.Rest, fields: s.Fields, close: s.Close, gzip: s.Gzip} // it may be answered at once
	d.k.stats.inbound.Add(int64(len(s.Rest)))
	s.Rest = nil
	if len(replay.Messages) > 0 || len(replay.Gaps) > 0 || s.Wait <= 0 {
		d.answer(x, replay.Messages, replay.Gaps)
		return
	}
	x.await(s.Wait)
}

func (longPoll) encoding() *hub.Encoding { return encodingJSON }

func (d longPoll) deliver(x *held, batch []*hub.Message, _ bool) { d.answer(x, batch, nil) }

// A response tells of gaps itself, and none is in the middle of one.
func (longPoll) gap(hub.Gap) []byte { return nil }
func (longPoll) canGap() bool       { return true }

func (longPoll) changed(*held, channelChange, hub.Replay) []byte { return nil }

// read keeps what comes of the next request.
func (longPoll) read(x *held, p []byte) bool {
	s := pollOf(x)
	switch {
	case len(s.rest)+len(p) > maxEarly:
		x.end(unexpectedData)
		return false
	case !x.receiving(len(p)):
		x.end(inboundFull)
		return false
	}
	s.rest = append(s.rest, p...)
	return true
}

func (longPoll) resume(*held) bool { return true }

// heartbeat is the end of the wait.
func (d longPoll) heartbeat(x *held) bool {
	d.conclude(x)
	return false
}

func (longPoll) asksAgain() bool { return true }

func (d longPoll) conclude(x *held) { d.answer(x, nil, nil) }

func (d longPoll) drain(x *held) {
	pollOf(x).close = true
	d.conclude(x)
}

// close answers a poll that is not allowed any more.
func (d longPoll) close(x *held, c closing) {
	s := pollOf(x)
	body := `{"error":` + quote(c.text) + "}\n"
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n", c.status, fasthttp.StatusMessage(c.status))
	b = append(b, s.fields...)
	if c.status == 429 {
		b = append(append(append(b, "Retry-After: "...), retryAtLimit...), "\r\n"...)
	}
	if s.close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	x.leave(c.why)
	x.answered = true
	if x.send(b, false) {
		d.answerSent(x)
	}
}

// sent gives the connection back for its next request.
func (d longPoll) sent(x *held) {
	s := pollOf(x)
	rest := s.rest
	d.release(x)
	if s.close {
		park.Linger(x.c)
		return
	}
	d.k.o.Resume(x.c, rest, !x.readAll)
}

// release lets go of what was read of the next request.
func (d longPoll) release(x *held) {
	s := pollOf(x)
	d.k.stats.inbound.Add(int64(-len(s.rest)))
	s.rest = nil
}

// answer ends a long poll. next is where the client stands, so that what is published before its next
// poll is not lost. What would be more than an outbox comes with the next poll, from history.
func (d longPoll) answer(x *held, batch []*hub.Message, gaps []hub.Gap) {
	if x.answered {
		return
	}
	next := x.membership.Position()
	n, size := d.fitting(batch)
	if n < len(batch) {
		next = batch[n-1].ID
	}
	out := x.c.Loop().Out()
	sent := false
	x.leave(answered)
	x.answered = true
	switch zip := pollOf(x).gzip && size >= d.k.o.Compress; {
	case zip:
		sent = d.sendPieces(x, gzipped(batch[:n], appendAnswerEnd(nil, next, gaps)))
	case size <= cap(out)/2:
		body := append(out[:headRoom], answerBegin...)
		for i, m := range batch[:n] {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(body, object(m)...)
		}
		sent = x.send(d.withHead(x, appendAnswerEnd(body, next, gaps)), false)
	default:
		sent = d.sendPieces(x, plain(batch[:n], appendAnswerEnd(nil, next, gaps)))
	}
	if !sent {
		return
	}
	for i, m := range batch {
		if i < n && x.queue == nil {
			m.Delivered()
		} else {
			m.Queued()
		}
	}
	d.answerSent(x)
}

// answerSent gives the connection back, now or when the client has read the answer.
func (d longPoll) answerSent(x *held) {
	if x.queue != nil {
		x.c.SetDeadline(d.k.o.Heartbeat)
		return
	}
	d.sent(x)
}

const answerBegin = `{"messages":[`

// fitting returns how many of the messages one answer has room for, one at least, and their bytes in it.
func (d longPoll) fitting(batch []*hub.Message) (n, size int) {
	for i, m := range batch {
		more := len(object(m))
		if i > 0 {
			if more++; size+more > d.k.o.Outbox {
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
func (d longPoll) sendPieces(x *held, p *pieces) bool {
	buf := append(d.appendHead(pollOf(x), x.c.Loop().Out()[:0], p.size(), p.zip), p.begin...)
	for i, m := range p.batch {
		if i > 0 {
			buf = append(buf, p.between...)
		}
		o := p.object(m)
		if len(o) < largeObject && len(buf)+len(o) <= cap(buf) {
			buf = append(buf, o...)
			continue
		}
		if !x.sendItem(sendqueue.Item{Bytes: buf}) || !x.sendItem(sendqueue.Item{Bytes: o, Shared: true}) {
			return false
		}
		buf = buf[:0]
	}
	return x.sendItem(sendqueue.Item{Bytes: append(buf, p.end...)})
}

// headRoom is left in front of an answer's body, so that the head can be written there once the length of
// the body is known.
const headRoom = 512

// withHead puts the head into the room before the body, or both together elsewhere if it is too long.
func (d longPoll) withHead(x *held, b []byte) []byte {
	var room [headRoom]byte
	head := d.appendHead(pollOf(x), room[:0], len(b)-headRoom, false)
	if len(head) > headRoom {
		return append(head, b[headRoom:]...)
	}
	b = b[headRoom-len(head):]
	copy(b, head)
	return b
}

func (d longPoll) appendHead(s *poll, b []byte, length int, zip bool) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"...)
	b = append(b, s.fields...)
	if d.k.o.Compress > 0 {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	if zip {
		b = append(b, "Content-Encoding: gzip\r\n"...)
	}
	if s.close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, "\r\n\r\n"...)
}
