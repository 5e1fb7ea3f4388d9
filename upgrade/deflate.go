package upgrade

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"holdfast/internal/hub"
)

// What Holdfast sends is compressed message by message, without what came before (server_no_context_takeover), so
// that each message is deflated once for all who hold its channel, and a connection keeps nothing.

// rsv1 marks a compressed message (RFC 7692 §6).
const rsv1 = 0x40

// flushed ends what a deflater has flushed: an empty stored block. A frame leaves it out (RFC 7692 §7.2.1).
const flushed = "\x00\x00\xff\xff"

// deflaters run at the fastest level: a loop waits for them.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// appendDeflated appends p compressed and flushed.
func appendDeflated(b, p []byte) []byte {
	out := bytes.NewBuffer(b)
	w := deflaters.Get().(*flate.Writer)
	w.Reset(out)
	w.Write(p) // into memory
	w.Flush()
	deflaters.Put(w)
	return out.Bytes()
}

// deflatedFrame returns a frame with the payload compressed, or nil if that gains nothing.
func deflatedFrame(op ws.OpCode, payload []byte) []byte {
	z := bytes.TrimSuffix(appendDeflated(make([]byte, 0, len(payload)/2), payload), []byte(flushed))
	if len(z) >= len(payload) {
		return nil
	}
	b := appendFrame(nil, op, z)
	b[0] |= rsv1
	return b
}

func (k *Keeper) renderRawDeflated(m *hub.Message) []byte {
	op := ws.OpText
	if m.Binary {
		op = ws.OpBinary
	}
	if len(m.Data) >= k.o.Compress {
		if b := deflatedFrame(op, m.Data); b != nil {
			return b
		}
	}
	return m.Rendered(slotRaw, renderRaw)
}

func (k *Keeper) renderV1Deflated(m *hub.Message) []byte {
	if len(m.Data) >= k.o.Compress {
		if b := deflatedFrame(ws.OpText, v1Object(m)); b != nil {
			return b
		}
	}
	return m.Rendered(slotV1, renderV1)
}

// inflater is a reader of one message after the other.
type inflater struct {
	in  bytes.Reader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.out = flate.NewReader(&f.in)
	return f
}}

// maxFinal is how many final blocks a short message may have; a long one may have one more for each kB.
const maxFinal = 16

// inflate returns a client's message that came compressed (RFC 7692 §7.2.2). It stops at max bytes, whatever
// the rest would be.
func inflate(p []byte, op ws.OpCode, max int) ([]byte, *wireError) {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.in.Reset(slices.Concat(p, []byte(flushed), []byte("\x01\x00\x00\xff\xff"))) // and the end of the stream
	var b bytes.Buffer
	for blocks := 0; f.in.Len() > 0; blocks++ { // a final block may come before the end (§7.2.3.4)
		if blocks > maxFinal+len(p)>>10 { // each costs more than its bytes
			return nil, errDeflate
		}
		if err := f.out.(flate.Resetter).Reset(&f.in, nil); err != nil {
			return nil, errDeflate
		}
		if _, err := io.Copy(&b, io.LimitReader(f.out, int64(max-b.Len())+1)); err != nil {
			return nil, errDeflate
		}
		if b.Len() > max {
			return nil, errTooBig
		}
	}
	if op == ws.OpText && !utf8.Valid(b.Bytes()) {
		return nil, errUTF8
	}
	return b.Bytes(), nil
}

var errDeflate = &wireError{ws.StatusInvalidFramePayloadData, "not as permessage-deflate has it"}

// A long poll's answer in gzip is put together from blocks (RFC 1951 §3.2.3): what is around the messages is stored,
// and each message is deflated once for all.

// gzipBegin is the head of a gzip member (RFC 1952 §2.3) of no time and an unknown system.
const gzipBegin = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"

func renderDeflated(m *hub.Message) []byte { return appendDeflated(nil, object(m)) }

func deflatedObject(m *hub.Message) []byte { return m.Rendered(slotDeflated, renderDeflated) }

// appendStored appends a block as it is; more than 64 kB have no room in one.
func appendStored(b, p []byte, last bool) []byte {
	for {
		n := min(len(p), 0xffff)
		kind := byte(0)
		if last && n == len(p) {
			kind = 1
		}
		b = append(b, kind)
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint16(b, ^uint16(n))
		b = append(b, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return b
		}
	}
}

// appendTrailer appends the end of a gzip member with what the answer is without compression.
func appendTrailer(b []byte, batch []*hub.Message, end []byte) []byte {
	sum := crc32.ChecksumIEEE([]byte(answerBegin))
	n := len(answerBegin) + len(end)
	for i, m := range batch {
		if i > 0 {
			sum = crc32.Update(sum, crc32.IEEETable, comma)
			n++
		}
		sum = crc32.Update(sum, crc32.IEEETable, object(m))
		n += len(object(m))
	}
	sum = crc32.Update(sum, crc32.IEEETable, end)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}
