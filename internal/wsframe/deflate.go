package wsframe

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"holdfast/internal/deflate"
)

// rsv1 marks a compressed message (RFC 7692 §6).
const rsv1 = 0x40

// Deflated returns a frame with the payload compressed, or nil if that gains nothing. The client needs nothing of what
// came before (server_no_context_takeover), so all subscribers can have the same frame.
func Deflated(op ws.OpCode, payload []byte) []byte {
	z := bytes.TrimSuffix(deflate.Append(make([]byte, 0, len(payload)/2), payload), []byte(deflate.Flushed))
	if len(z) >= len(payload) {
		return nil
	}
	b := Append(nil, op, z)
	b[0] |= rsv1
	return b
}

// Inflate returns the message of a frame that is Deflated (RFC 7692 §7.2.2). A message of more than max bytes is an
// error, and it is found without them in memory.
func Inflate(p []byte, op ws.OpCode, max int) ([]byte, *Error) {
	b, err := deflate.Inflate(p, max)
	switch {
	case errors.Is(err, deflate.ErrTooBig):
		return nil, errTooBig
	case err != nil:
		return nil, errDeflate
	case op == ws.OpText && !utf8.Valid(b):
		return nil, errUTF8
	}
	return b, nil
}

var errDeflate = &Error{ws.StatusInvalidFramePayloadData, "invalid permessage-deflate data"}
