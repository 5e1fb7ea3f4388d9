// Package wsrender renders messages as frames of WebSockets.
package wsrender

import (
	"github.com/gobwas/ws"

	"holdfast/internal/hub"
	"holdfast/internal/render"
	"holdfast/internal/wsframe"
)

// Frames that never change: a ping, and with the subprotocol a ping whose second frame reaches the page, and its pong.
var (
	Ping   = wsframe.Append(nil, ws.OpPing)
	PingV1 = wsframe.Append(Ping[:len(Ping):len(Ping)], ws.OpText, []byte(render.Ping))
	PongV1 = wsframe.Append(nil, ws.OpText, []byte(`{"type":"pong"}`))
)

// The encodings: Raw is the data alone, and V1 the object of the subprotocol.
var (
	Raw = &hub.Encoding{Render: renderRaw}
	V1  = &hub.Encoding{Render: renderV1}
)

// RawDeflated is Raw for clients that take compressed frames; messages of at least min bytes are. Zero: none is.
func RawDeflated(min int) *hub.Encoding {
	return &hub.Encoding{Render: func(m *hub.Message, room []byte) []byte {
		if min > 0 && len(m.Data) >= min {
			if b := wsframe.Deflated(wsframe.DataOp(m.Binary), m.Data); b != nil {
				return b
			}
		}
		return Raw.Shared(m, room)
	}}
}

// V1Deflated is V1 for the same.
func V1Deflated(min int) *hub.Encoding {
	return &hub.Encoding{Render: func(m *hub.Message, room []byte) []byte {
		if min > 0 && len(m.Data) >= min {
			if b := wsframe.Deflated(ws.OpText, render.Message(m)); b != nil {
				return b
			}
		}
		return V1.Shared(m, room)
	}}
}

func renderRaw(m *hub.Message, room []byte) []byte {
	return wsframe.Append(room, wsframe.DataOp(m.Binary), m.Data)
}

func renderV1(m *hub.Message, room []byte) []byte {
	if cap(room) < wsframe.MaxHead {
		room = nil
	}
	return wsframe.PutHead(render.AppendMessage(render.Room(m, room)[:wsframe.MaxHead], m), ws.OpText)
}
