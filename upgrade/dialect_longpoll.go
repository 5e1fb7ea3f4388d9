package upgrade

import (
	"github.com/valyala/fasthttp"

	"holdfast/internal/ending"
	"holdfast/internal/heldrecord"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/linger"
	"holdfast/internal/render"
	"holdfast/internal/sendqueue"
	"holdfast/internal/subscribe"
)

// longPoll responds with the first messages, or with an empty list when the wait is over.
type longPoll struct{ k *Keeper }

func newLongPoll(k *Keeper) dialect { return longPoll{k} }

// poll is the state of a long poll.
type poll = heldrecord.Poll

func pollOf(x *held) *poll { return x.state.(*poll) }

func (longPoll) Name() string      { return "longpoll" }
func (longPoll) transport() string { return "longpoll" }
func (longPoll) Status() int       { return 200 }

// matches takes every request: this dialect is the last.
func (longPoll) Matches(*subscribe.Choice) bool { return true }

func (d longPoll) Check(ctx *fasthttp.RequestCtx, s *Spec) (int, string) {
	if len(ctx.Request.Header.Peek("Sec-WebSocket-Key")) > 0 {
		return 400, "a proxy on the way has dropped Upgrade: websocket"
	}
	wait, err := subscribe.Wait(ctx, d.k.live().Wait, d.k.live().MaxWait)
	if err != nil {
		return 400, err.Error()
	}
	s.Wait = wait
	return 0, ""
}

func (d longPoll) Accept(ctx *fasthttp.RequestCtx, v *subscribe.Request) (int, string) {
	h := &ctx.Request.Header
	v.Spec.Close = h.ConnectionClose() || http1.HasToken(h.Peek("Connection"), "close") || !h.IsHTTP11()
	v.Spec.Gzip = d.k.o.Compress > 0 && http1.AcceptsGzip(h.PeekAll("Accept-Encoding"))
	v.TakeOver(ctx)
	return 0, ""
}

func (longPoll) Postponed(_, _, _ string) (contentType, body string) { return "", "" }

func (d longPoll) begin(x *held, s *Spec, replay hub.Replay) {
	x.state = &poll{Rest: s.Rest, Fields: s.Fields, Close: s.Close, Gzip: s.Gzip} // the response may be sent at once
	d.k.received.Give(-len(s.Rest))
	s.Rest = nil
	if len(replay.Messages) > 0 || len(replay.Gaps) > 0 || s.Wait <= 0 {
		d.answer(x, replay.Messages, replay.Gaps)
		return
	}
	x.await(s.Wait)
}

func (longPoll) encoding() *hub.Encoding { return render.ObjectEvent }

func (d longPoll) deliver(x *held, batch []*hub.Message, _ bool) { d.answer(x, batch, nil) }

// A response has its gaps in its body, and none occurs later.
func (longPoll) gap(hub.Gap) []byte { return nil }
func (longPoll) canGap() bool       { return true }

func (longPoll) changed(*held, channelChange, hub.Replay) []byte { return nil }

// read stores bytes of the next request.
func (longPoll) read(x *held, p []byte) bool {
	s := pollOf(x)
	switch {
	case len(s.Rest)+len(p) > maxEarly:
		x.end(ending.UnexpectedData)
		return false
	case !x.k.receive(x, len(p)):
		x.end(ending.InboundFull)
		return false
	}
	s.Rest = append(s.Rest, p...)
	return true
}

func (longPoll) resume(*held) bool { return true }

// heartbeat is the end of the wait.
func (d longPoll) heartbeat(x *held) bool {
	d.conclude(x)
	return false
}

func (longPoll) asksAgain() bool    { return true }
func (d longPoll) conclude(x *held) { d.answer(x, nil, nil) }

func (d longPoll) drain(x *held) {
	pollOf(x).Close = true
	d.conclude(x)
}

// close responds to a poll that is no longer allowed.
func (d longPoll) close(x *held, c ending.Closing) {
	s := pollOf(x)
	fields := s.Fields
	if c.Status == 429 {
		fields += "Retry-After: " + subscribe.RetryAtLimit + "\r\n"
	}
	if s.Close {
		fields += "Connection: close\r\n"
	}
	head, body := render.Refusal(c.Status, c.Text, fields)
	x.leave(c.Why)
	x.answered = true
	if x.send(append(head, body...), false) {
		d.answerSent(x)
	}
}

// sent gives the connection back for its next request.
func (d longPoll) sent(x *held) {
	s := pollOf(x)
	rest := s.Rest
	d.release(x)
	if s.Close {
		linger.Close(x.c)
		return
	}
	d.k.o.Resume(x.c, rest, !x.readAll)
}

// release releases the bytes of the next request.
func (d longPoll) release(x *held) {
	s := pollOf(x)
	d.k.received.Give(len(s.Rest))
	s.Rest = nil
}

// answer ends a long poll. next is the client's position, so that messages published before its next poll are not lost.
// Messages beyond the size of a send queue come with the next poll, from history.
func (d longPoll) answer(x *held, batch []*hub.Message, gaps []hub.Gap) {
	if x.answered {
		return
	}
	next := x.membership.Position()
	s, out := pollOf(x), x.c.Loop().Out()
	n, size := 1, 0
	if s.Gzip || !render.Alone(batch, cap(out)/2) {
		n, size = render.FirstMessages(batch, d.k.live().SendQueue)
	}
	if n < len(batch) {
		next = batch[n-1].ID
	}
	r := render.PollResponse{
		Messages: batch[:n], Next: next, Gaps: gaps, Date: loopOf(x).date.Line(x.c.Loop().Now()),
		Fields: s.Fields, Varies: d.k.o.Compress > 0, Gzip: s.Gzip && size >= d.k.o.Compress, Close: s.Close,
	}
	x.leave(ending.Answered)
	x.answered = true
	sent := false
	if !r.Gzip && size <= cap(out)/2 {
		sent = x.send(r.AppendTo(out[:0]), false)
	} else {
		sent = r.Send(out[:0], func(b []byte, shared bool) bool { return x.sendItem(sendqueue.Item{Bytes: b, Shared: shared}) })
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

// answerSent gives the connection back, now or when the response is sent.
func (d longPoll) answerSent(x *held) {
	if x.queue != nil {
		x.c.SetDeadline(d.k.stall())
		return
	}
	d.sent(x)
}
