package upgrade

import (
	"github.com/valyala/fasthttp"

	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/render"
	"holdfast/internal/subscribe"
)

const ndjsonType = "application/x-ndjson"

var encodingNDJSON = &hub.Encoding{Render: func(m *hub.Message, room []byte) []byte {
	return append(render.AppendMessage(render.Room(m, room), m), '\n')
}}

// ndjson is a stream of the subprotocol's objects, one a line, for programs that read line by line. Each has its type, so
// that a reader tells a message from a gap. An empty line is the heartbeat.
type ndjson struct {
	readOnly
	k *Keeper
}

func newNDJSON(k *Keeper) dialect { return ndjson{k: k} }

func (ndjson) Name() string      { return "ndjson" }
func (ndjson) transport() string { return "ndjson" }

func (ndjson) Matches(r *subscribe.Choice) bool { return r.Accepts(ndjsonType) }

func (ndjson) Check(*fasthttp.RequestCtx, *Spec) (int, string) { return 0, "" }

func (d ndjson) begin(x *held, s *Spec, replay hub.Replay) {
	b := append(render.StreamHead(ndjsonType, s.Fields), render.Hello(x.membership.Position(), d.k.live().Heartbeat, replay)...)
	b = append(b, '\n')
	for _, g := range replay.Gaps {
		b = append(b, d.gap(g)...)
	}
	x.beginStream(b, replay)
}

func (ndjson) encoding() *hub.Encoding { return encodingNDJSON }

func (ndjson) gap(g hub.Gap) []byte { return append(render.Gap(g), '\n') }

func (ndjson) changed(x *held, m channelChange, replay hub.Replay) (b []byte) {
	for _, object := range m.objects(x, replay) {
		b = append(append(b, object...), '\n')
	}
	return b
}

func (ndjson) heartbeat(x *held) bool { return x.send([]byte{'\n'}, false) }
func (ndjson) drain(x *held)          { x.finish(nil, ending.Draining) }
