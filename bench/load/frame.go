package load

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// WebSocket opcodes (RFC 6455 §5.2).
const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xA
)

// ErrFrame is what a server sent that is no WebSocket frame of a server.
var ErrFrame = errors.New("load: malformed frame")

// Frames reads frames from a stream and hands their payloads on in pieces, without keeping them.
type Frames struct {
	header [10]byte
	have   int    // bytes of header
	op     byte   // of the frame at hand
	left   uint64 // bytes of payload to come
	in     bool   // inside a payload
}

// Feed calls piece for each part of a payload, with end at its last one.
func (f *Frames) Feed(data []byte, piece func(op byte, part []byte, end bool)) error {
	for len(data) > 0 {
		if !f.in {
			n, err := f.feedHeader(data)
			data = data[n:]
			if err != nil {
				return err
			}
			if f.in && f.left == 0 {
				f.in, f.have = false, 0
				piece(f.op, nil, true)
			}
			continue
		}
		n := int(min(f.left, uint64(len(data))))
		f.left -= uint64(n)
		if f.left == 0 {
			f.in, f.have = false, 0
		}
		piece(f.op, data[:n], f.left == 0)
		data = data[n:]
	}
	return nil
}

func (f *Frames) feedHeader(data []byte) (int, error) {
	used := 0
	for used < len(data) {
		f.header[f.have] = data[used]
		f.have++
		used++
		if f.have < 2 {
			continue
		}
		if f.header[1]&0x80 != 0 {
			return used, fmt.Errorf("%w: a server's frame is masked", ErrFrame)
		}
		length := f.header[1] & 0x7f
		switch {
		case length < 126:
			f.left = uint64(length)
		case length == 126 && f.have == 4:
			f.left = uint64(binary.BigEndian.Uint16(f.header[2:4]))
		case length == 127 && f.have == 10:
			f.left = binary.BigEndian.Uint64(f.header[2:10])
		default:
			continue
		}
		f.op, f.in = f.header[0]&0xf, true
		return used, nil
	}
	return used, nil
}

// ClientFrame is a whole frame of a client, at most 125 bytes, under a mask of zeros.
func ClientFrame(op byte, payload []byte) []byte {
	if len(payload) > 125 {
		panic("load: a client's frame of more than 125 bytes")
	}
	return append([]byte{0x80 | op, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// TextFrame is a client's text frame of any length up to 64 KB.
func TextFrame(payload []byte) []byte {
	if len(payload) <= 125 {
		return ClientFrame(opText, payload)
	}
	b := []byte{0x80 | opText, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	return append(b, payload...)
}
