package upgrade

import (
	"github.com/valyala/fasthttp"

	"holdfast/internal/hub"
	"holdfast/internal/render"
	"holdfast/internal/subscribe"
)

var sseV1Heartbeat = render.AppendEvent(nil, []byte(render.Ping))

// sseV1 is an event stream of the subprotocol's JSON. A page can't set a header, so the query requests it.
type sseV1 struct {
	sse
	k *Keeper
}

func newSSEV1(k *Keeper) dialect { return sseV1{k: k} }

func (sseV1) Name() string { return "sse v1" }

func (sseV1) Matches(r *subscribe.Choice) bool {
	return r.Accepts(eventStream) && string(r.Protocol) == subprotocol
}

func (sseV1) Check(*fasthttp.RequestCtx, *Spec) (int, string) { return 0, "" }

func (d sseV1) begin(x *held, s *Spec, replay hub.Replay) {
	b := append(render.StreamHead(eventStream, s.Fields), render.RetryHint()...)
	b = render.AppendEvent(b, render.Hello(x.membership.Position(), d.k.live().Heartbeat, replay))
	for _, g := range replay.Gaps {
		b = render.AppendEvent(b, render.Gap(g))
	}
	x.beginStream(b, replay)
}

func (sseV1) encoding() *hub.Encoding { return render.ObjectEvent }

func (sseV1) gap(g hub.Gap) []byte { return render.AppendEvent(nil, render.Gap(g)) }

func (sseV1) changed(x *held, m channelChange, replay hub.Replay) (b []byte) {
	for _, object := range m.objects(x, replay) {
		b = render.AppendEvent(b, object)
	}
	return b
}

func (sseV1) heartbeat(x *held) bool { return x.send(sseV1Heartbeat, true) }
