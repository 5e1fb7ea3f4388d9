// Package wsframe reads and writes the frames of a WebSocket (RFC 6455) without any I/O. A [Parser] takes the bytes of a
// client in whatever pieces they arrive; [Append] writes the frames of a server. Compressed messages and the offer of
// permessage-deflate (RFC 7692) are here as well.
package wsframe

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Parser is what has been read of a frame or a message that is not complete. Its zero value is ready for use. A connection
// needs one only while it is not empty.
type Parser struct {
	buf  []byte    // what was read of the next frames; all of it is unfinished from at on
	at   int       // where what Join returned begins in buf
	op   ws.OpCode // of the message whose fragments have come; zero: none
	sum  int       // bytes of those fragments
	tail []byte    // text: an unfinished character at the end of the last fragment

	Whole bool   // a message is returned whole, with its last frame
	body  []byte // the fragments so far, if it is

	Deflate  bool // permessage-deflate was agreed on
	deflated bool // the message whose fragments have come is compressed
}

// Empty reports whether nothing is unfinished.
func (f *Parser) Empty() bool { return len(f.buf) == 0 && f.op == 0 }

// Unread reports whether bytes wait that Keep has stored.
func (f *Parser) Unread() bool { return len(f.buf) > 0 }

// Size returns the memory of what is unfinished, in bytes.
func (f *Parser) Size() int { return cap(f.buf) + cap(f.body) }

// Received returns how many bytes of the unfinished message have come.
func (f *Parser) Received() int { return len(f.buf) - f.at + f.sum }

// Join returns what is unread, with p behind it. Bytes are copied once, not again at each read.
func (f *Parser) Join(p []byte) []byte {
	if len(f.buf) == 0 {
		return p
	}
	if f.at > len(f.buf)/2 {
		f.buf, f.at = f.buf[:copy(f.buf, f.buf[f.at:])], 0
	}
	f.buf = append(f.buf, p...)
	return f.buf[f.at:]
}

// Keep stores p, the end of what Join returned.
func (f *Parser) Keep(p []byte) {
	switch {
	case len(p) == 0:
		f.buf, f.at = nil, 0
	case len(f.buf) == 0:
		f.buf = bytes.Clone(p)
	default:
		f.at = len(f.buf) - len(p)
	}
}

// Frame is a complete frame, unmasked.
type Frame struct {
	Op      ws.OpCode
	Payload []byte    // valid until the bytes that it was read from are reused
	Message ws.OpCode // of a data frame that completes a message, the message's opcode; zero otherwise

	Deflated bool // Payload is the whole message, still compressed
}

// Error is a client's breach of the protocol, with the close code for it.
type Error struct {
	Code   ws.StatusCode
	Reason string
}

func (e *Error) Error() string { return e.Reason }

var (
	errTooBig = &Error{ws.StatusMessageTooBig, "message too big"}
	errUTF8   = &Error{ws.StatusInvalidFramePayloadData, "invalid UTF-8"}
)

// Next reads one frame from p and unmasks it in place. It returns n, the bytes that the frame takes, or 0 while it is not
// complete. A message of more than max bytes is an error.
func (f *Parser) Next(p []byte, max int) (fr Frame, n int, e *Error) {
	h, size, e := header(p)
	if size == 0 || e != nil {
		return fr, 0, e
	}
	state := ws.StateServerSide
	if f.op != 0 {
		state = state.Set(ws.StateFragmented)
	}
	deflated := f.Deflate && h.Rsv1() && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary)
	if deflated {
		h.Rsv = ws.Rsv(false, h.Rsv2(), h.Rsv3())
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return fr, 0, &Error{ws.StatusProtocolError, err.Error()}
	}
	if h.Length > int64(max) || !h.OpCode.IsControl() && h.Length+int64(f.sum) > int64(max) {
		return fr, 0, errTooBig
	}
	if n = size + int(h.Length); len(p) < n {
		return fr, 0, nil
	}
	fr = Frame{Op: h.OpCode, Payload: p[size:n]}
	ws.Cipher(fr.Payload, h.Mask, 0)
	if h.OpCode.IsControl() {
		return fr, n, checkClose(fr)
	}
	if h.OpCode != ws.OpContinuation {
		f.op, f.deflated = h.OpCode, deflated
	}
	f.sum += len(fr.Payload)
	if f.op == ws.OpText && !f.deflated {
		if e := f.text(fr.Payload, h.Fin); e != nil {
			return fr, n, e
		}
	}
	if (f.Whole || f.deflated) && (!h.Fin || f.body != nil) {
		f.body = append(f.body, fr.Payload...)
	}
	if h.Fin {
		if f.body != nil {
			fr.Payload = f.body
		}
		fr.Message, fr.Deflated = f.op, f.deflated
		f.op, f.sum, f.tail, f.body = 0, 0, nil, nil
	}
	return fr, n, nil
}

// text checks UTF-8 over the fragments of a message and fails at the first that cannot be mended.
func (f *Parser) text(p []byte, last bool) *Error {
	if len(f.tail) > 0 {
		p = append(f.tail, p...)
		f.tail = nil
	}
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n <= 1 {
			if last || utf8.FullRune(p) || len(p) >= utf8.UTFMax {
				return errUTF8
			}
			f.tail = bytes.Clone(p)
			return nil
		}
		p = p[n:]
	}
	return nil
}

func checkClose(fr Frame) *Error {
	if fr.Op != ws.OpClose || len(fr.Payload) == 0 {
		return nil
	}
	if len(fr.Payload) == 1 {
		return &Error{ws.StatusProtocolError, "close payload of one byte"}
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(fr.Payload))
	switch {
	case !sendable(code):
		return &Error{ws.StatusProtocolError, "close code that no client sends"}
	case !utf8.Valid(fr.Payload[2:]):
		return errUTF8
	}
	return nil
}

// sendable reports whether a client may send a close code: those of IANA's registry that are sent at all, and those that
// are left to libraries and apps (RFC 6455 §7.4.2).
func sendable(code ws.StatusCode) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code < 1000 || code > 1014:
		return false
	}
	return code != 1004 && code != 1005 && code != 1006
}

// header reads a frame's header from p. size is 0 while it is not complete.
func header(p []byte) (h ws.Header, size int, e *Error) {
	if len(p) < 2 {
		return h, 0, nil
	}
	size = 2
	switch p[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	extended := size
	if p[1]&0x80 != 0 {
		size += 4
	}
	if len(p) < size {
		return h, 0, nil
	}
	h, err := ws.ReadHeader(bytes.NewReader(p[:size]))
	if err != nil {
		return h, 0, &Error{ws.StatusProtocolError, err.Error()}
	}
	if extended == 4 && h.Length < 126 || extended == 10 && h.Length < 1<<16 {
		return h, 0, &Error{ws.StatusProtocolError, "length not in its shortest form"}
	}
	return h, size, nil
}

// Append appends a whole frame as a server sends it: not masked, not compressed.
func Append(b []byte, op ws.OpCode, payload ...[]byte) []byte {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	var room [MaxHead]byte
	head := appendHead(room[:0], op, n)
	b = append(slices.Grow(b, len(head)+n), head...)
	for _, p := range payload {
		b = append(b, p...)
	}
	return b
}

// MaxHead is the length of the longest head of a frame without a mask.
const MaxHead = 10

// PutHead returns the frame whose payload is b[MaxHead:]. The head stands right before it, in b.
func PutHead(b []byte, op ws.OpCode) []byte {
	var room [MaxHead]byte
	head := appendHead(room[:0], op, len(b)-MaxHead)
	b = b[MaxHead-len(head):]
	copy(b, head)
	return b
}

// appendHead appends the head of a final frame, without a mask, that has n bytes of payload.
func appendHead(b []byte, op ws.OpCode, n int) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// AppendClose appends a close frame.
func AppendClose(b []byte, code ws.StatusCode, reason string) []byte {
	var payload [2]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	return Append(b, ws.OpClose, payload[:], []byte(reason))
}

// CloseCode returns the code of a close frame's payload, which the parser has checked, and 1000 if there is none.
func CloseCode(payload []byte) ws.StatusCode {
	if len(payload) < 2 {
		return ws.StatusNormalClosure
	}
	return ws.StatusCode(binary.BigEndian.Uint16(payload))
}
