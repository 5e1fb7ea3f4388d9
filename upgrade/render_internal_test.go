package upgrade

import (
	"testing"

	"github.com/gobwas/ws"

	"holdfast/internal/hub"
	"holdfast/internal/render"
	"holdfast/internal/wsframe"
	"holdfast/internal/wsrender"
)

// TestRenderAllocations checks that a message is rendered into memory of its size, and into nothing else.
func TestRenderAllocations(t *testing.T) {
	messages := map[string]*hub.Message{
		"text":   {ID: 7, Channel: "public.news", Data: []byte("it's <b>5 €</b>")},
		"event":  {ID: 7, Channel: "public.news", Event: "tick", Data: []byte("5")},
		"JSON":   {ID: 7, Channel: "public.news", Event: "tick", Data: []byte(`{"n":1}`), JSON: true},
		"binary": {ID: 7, Channel: "public.news", Data: []byte("\xff\x00"), Binary: true},
	}
	for name, e := range map[string]*hub.Encoding{
		"raw": wsrender.Raw, "v1": wsrender.V1, "SSE": render.Event, "JSON": render.ObjectEvent, "ndjson": encodingNDJSON,
	} {
		for form, m := range messages {
			want := 1.0
			if m.Binary && e == render.Event {
				want = 2 // the data in base64
			}
			if n := testing.AllocsPerRun(100, func() { e.Render(m, nil) }); n > want {
				t.Errorf("%s of %s: %v allocations, want %v", name, form, n, want)
			}
		}
	}
}

// TestRenderV1 compares frames of every length of head with those that wsframe.Append makes.
func TestRenderV1(t *testing.T) {
	for _, n := range []int{0, 1, 40, 60, 100, 1000, 1<<16 - 100, 1 << 16, 1 << 17} {
		m := &hub.Message{ID: 7, Channel: "a", Data: make([]byte, n), JSON: true}
		for i := range m.Data {
			m.Data[i] = '1'
		}
		if got, want := string(wsrender.V1.Render(m, nil)), string(wsframe.Append(nil, ws.OpText, render.Message(m))); got != want {
			t.Errorf("%d bytes of data: %.40q, want %.40q", n, got, want)
		}
	}
}
