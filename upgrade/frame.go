package upgrade

import (
	"bytes"
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// frames is the state between two frames or in the middle of one: it exists only while there is any.
type frames struct {
	buf  []byte    // what was read of the next frames; all of it is unfinished from at on
	at   int       // where p of join begins in buf
	op   ws.OpCode // of the message whose fragments have come; zero: none
	sum  int       // bytes of those fragments
	tail []byte    // text: an unfinished character at the end of the last fragment

	whole bool   // a message is handed over whole, with its last frame
	body  []byte // the fragments so far, if it is

	deflate  bool // permessage-deflate was agreed on
	deflated bool // the message whose fragments have come is compressed

	counted int         // of the keeper's inbound bytes
	since   time.Time   // when it was begun
	timer   *time.Timer // looks whether it comes; nil: not yet
}

func (f *frames) empty() bool { return len(f.buf) == 0 && f.op == 0 }

// size is the memory that it takes.
func (f *frames) size() int { return cap(f.buf) + cap(f.body) }

// received is how much has come of the message.
func (f *frames) received() int { return len(f.buf) - f.at + f.sum }

// join returns what is unread with p behind it. Bytes are copied once, not again at each reading.
func (f *frames) join(p []byte) []byte {
	if len(f.buf) == 0 {
		return p
	}
	if f.at > len(f.buf)/2 {
		f.buf, f.at = f.buf[:copy(f.buf, f.buf[f.at:])], 0
	}
	f.buf = append(f.buf, p...)
	return f.buf[f.at:]
}

// keep stores p, the end of what join returned.
func (f *frames) keep(p []byte) {
	switch {
	case len(p) == 0:
		f.buf, f.at = nil, 0
	case len(f.buf) == 0:
		f.buf = bytes.Clone(p)
	default:
		f.at = len(f.buf) - len(p)
	}
}

// frame is a complete frame, unmasked.
type frame struct {
	op      ws.OpCode
	payload []byte
	message ws.OpCode // data frame that completes a message: its opcode; zero otherwise

	deflated bool // payload is the whole message, still compressed
}

// wireError is a client's breach of the protocol and the close code that answers it.
type wireError struct {
	code   ws.StatusCode
	reason string
}

func (e *wireError) Error() string { return e.reason }

var (
	errTooBig = &wireError{ws.StatusMessageTooBig, "message too big"}
	errUTF8   = &wireError{ws.StatusInvalidFramePayloadData, "invalid UTF-8"}
)

// next reads one frame from p, which it unmasks in place. n is 0 while the frame is not complete.
func (f *frames) next(p []byte, max int) (fr frame, n int, e *wireError) {
	h, size, e := header(p)
	if size == 0 || e != nil {
		return fr, 0, e
	}
	state := ws.StateServerSide
	if f.op != 0 {
		state = state.Set(ws.StateFragmented)
	}
	deflated := f.deflate && h.Rsv1() && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary)
	if deflated {
		h.Rsv = ws.Rsv(false, h.Rsv2(), h.Rsv3())
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return fr, 0, &wireError{ws.StatusProtocolError, err.Error()}
	}
	if h.Length > int64(max) || !h.OpCode.IsControl() && h.Length+int64(f.sum) > int64(max) {
		return fr, 0, errTooBig
	}
	if n = size + int(h.Length); len(p) < n {
		return fr, 0, nil
	}
	fr = frame{op: h.OpCode, payload: p[size:n]}
	ws.Cipher(fr.payload, h.Mask, 0)
	if h.OpCode.IsControl() {
		return fr, n, checkClose(fr)
	}
	if h.OpCode != ws.OpContinuation {
		f.op, f.deflated = h.OpCode, deflated
	}
	f.sum += len(fr.payload)
	if f.op == ws.OpText && !f.deflated {
		if e := f.text(fr.payload, h.Fin); e != nil {
			return fr, n, e
		}
	}
	if (f.whole || f.deflated) && (!h.Fin || f.body != nil) {
		f.body = append(f.body, fr.payload...)
	}
	if h.Fin {
		if f.body != nil {
			fr.payload = f.body
		}
		fr.message, fr.deflated = f.op, f.deflated
		f.op, f.sum, f.tail, f.body = 0, 0, nil, nil
	}
	return fr, n, nil
}

// text checks UTF-8 over the fragments of a message and fails at the first that cannot be mended.
func (f *frames) text(p []byte, last bool) *wireError {
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

func checkClose(fr frame) *wireError {
	if fr.op != ws.OpClose || len(fr.payload) == 0 {
		return nil
	}
	if len(fr.payload) == 1 {
		return &wireError{ws.StatusProtocolError, "close payload of one byte"}
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(fr.payload))
	switch {
	case !sendable(code):
		return &wireError{ws.StatusProtocolError, "close code that no client sends"}
	case !utf8.Valid(fr.payload[2:]):
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
func header(p []byte) (h ws.Header, size int, e *wireError) {
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
		return h, 0, &wireError{ws.StatusProtocolError, err.Error()}
	}
	if extended == 4 && h.Length < 126 || extended == 10 && h.Length < 1<<16 {
		return h, 0, &wireError{ws.StatusProtocolError, "length not in its shortest form"}
	}
	return h, size, nil
}

// appendFrame appends a whole frame as a server sends it: not masked, not compressed.
func appendFrame(b []byte, op ws.OpCode, payload ...[]byte) []byte {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
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
	for _, p := range payload {
		b = append(b, p...)
	}
	return b
}
