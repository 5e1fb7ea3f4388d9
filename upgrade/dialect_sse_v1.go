package upgrade

import (
	"github.com/valyala/fasthttp"

	"holdfast/internal/hub"
)

var ssePing = appendEvent(nil, []byte(pingJSON))

// sseV1 is an event stream whose events are the JSON of the subprotocol. A page can't set the header, so the query asks
// for it.
type sseV1 struct {
	sse
	k *Keeper
}

func newSSEV1(k *Keeper) dialect { return sseV1{k: k} }

func (sseV1) name() string { return "sse v1" }

func (sseV1) matches(r *choice) bool {
	return r.accepts(eventStream) && string(r.protocol) == subprotocol
}

func (sseV1) check(*fasthttp.RequestCtx, *Spec) (int, string) { return 0, "" }

func (d sseV1) begin(x *held, s *Spec, replay hub.Replay) {
	b := append(streamHead(eventStream, s), retryHint()...)
	b = appendEvent(b, helloJSON(x.membership.Position(), d.k.o.Heartbeat, owed(replay)))
	for _, g := range replay.Gaps {
		b = appendEvent(b, gapJSON(g))
	}
	x.beginStream(b, replay)
}

func (sseV1) encoding() *hub.Encoding { return encodingJSON }

func (sseV1) gap(g hub.Gap) []byte { return appendEvent(nil, gapJSON(g)) }

func (sseV1) changed(x *held, m channelChange, replay hub.Replay) (b []byte) {
	for _, object := range changeObjects(x, m, replay) {
		b = appendEvent(b, object)
	}
	return b
}

func (sseV1) heartbeat(x *held) bool { return x.send(ssePing, true) }

// appendEvent appends an event with an object.
func appendEvent(b, object []byte) []byte {
	return append(append(append(b, eventBegin...), object...), eventEnd...)
}
