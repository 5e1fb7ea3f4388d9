package upgrade

import (
	"github.com/valyala/fasthttp"

	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/render"
	"holdfast/internal/subscribe"
)

const eventStream = "text/event-stream"

// sseHeartbeat is a comment: browsers ignore it, and proxies see that the connection is in use.
var sseHeartbeat = []byte(":\n\n")

// sse is server-sent events (WHATWG HTML §9.2).
type sse struct{ readOnly }

func newSSE(*Keeper) dialect { return sse{} }

func (sse) Name() string      { return "sse" }
func (sse) transport() string { return "sse" }

func (sse) Matches(r *subscribe.Choice) bool { return r.Accepts(eventStream) }

func (sse) Check(ctx *fasthttp.RequestCtx, _ *Spec) (int, string) {
	if len(ctx.QueryArgs().Peek("protocol")) > 0 {
		return 400, "the protocol spoken here is " + subprotocol
	}
	return 0, ""
}

// postponed ends an event stream that can't begin now. An EventSource never reconnects after a 503; after the end of a
// stream it does.
func (sse) Postponed(why, hint, retryAfter string) (contentType, body string) {
	return eventStream, render.ComeBack(why, hint, retryAfter)
}

func (sse) begin(x *held, s *Spec, replay hub.Replay) {
	b := append(render.StreamHead(eventStream, s.Fields), render.RetryHint()...)
	x.beginStream(render.AppendGapEvents(b, x.membership.Position(), replay), replay)
}

func (sse) encoding() *hub.Encoding { return render.Event }

func (sse) gap(g hub.Gap) []byte { return render.GapEvent(g) }

func (sse) changed(x *held, _ channelChange, replay hub.Replay) []byte {
	return render.AppendGapEvents(nil, x.membership.Position(), replay)
}

func (sse) heartbeat(x *held) bool { return x.send(sseHeartbeat, true) }
func (sse) drain(x *held)          { x.finish(render.RetryHint(), ending.Draining) }
