package wsframe

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const fuzzMax = 1 << 10

// events is what a parser made of bytes, as text: frames, then the close code of an error.
func split(p []byte, cuts []byte) (events []string) {
	f := new(Parser)
	var buf []byte
	for i := 0; len(p) > 0 || i == 0; i++ {
		n := len(p)
		if i < len(cuts) {
			n = min(n, int(cuts[i]))
		}
		buf = append(buf, p[:n]...)
		p = p[n:]
		for len(buf) > 0 {
			fr, used, e := f.Next(buf, fuzzMax)
			if e != nil {
				return append(events, e.Reason)
			}
			if used == 0 {
				break
			}
			events = append(events, string(rune(fr.Op))+" "+string(rune(fr.Message))+" "+string(fr.Payload))
			buf = bytes.Clone(buf[used:])
		}
		if n == 0 && len(p) > 0 && i >= len(cuts) {
			break
		}
	}
	return events
}

// simple is a second parser: it wants everything at once and knows nothing of ours. ok is false at the
// first breach.
func simple(p []byte) (events []string, ok bool) {
	var op byte
	var text []byte
	size := 0
	for len(p) > 0 {
		if len(p) < 2 {
			return events, true
		}
		fin, o, rsv := p[0]&0x80 != 0, p[0]&15, p[0]&0x70
		n, at := uint64(p[1]&0x7f), 2
		masked := p[1]&0x80 != 0
		whole := map[bool]int{true: 4}[masked] + map[uint64]int{126: 4, 127: 10}[n]
		if n < 126 {
			whole += 2
		}
		if len(p) < whole {
			return events, true
		}
		switch n {
		case 126:
			n, at = uint64(binary.BigEndian.Uint16(p[2:])), 4
			if n < 126 {
				return events, false
			}
		case 127:
			n, at = binary.BigEndian.Uint64(p[2:]), 10
			if n < 1<<16 || n>>63 != 0 {
				return events, false
			}
		}
		control := o >= 8
		switch {
		case rsv != 0 || !masked || o > 2 && o < 8 || o > 10,
			control && (!fin || n > 125),
			!control && (o == 0) != (op != 0),
			n > fuzzMax || !control && size+int(n) > fuzzMax:
			return events, false
		}
		if uint64(len(p)-at-4) < n {
			return events, true
		}
		mask, data := p[at:at+4], bytes.Clone(p[at+4:at+4+int(n)])
		for i := range data {
			data[i] ^= mask[i%4]
		}
		p = p[at+4+int(n):]
		if control {
			if o == 8 && len(data) > 0 {
				if len(data) == 1 || !utf8.Valid(data[2:]) {
					return events, false
				}
				c := binary.BigEndian.Uint16(data)
				if c < 1000 || c == 1004 || c == 1005 || c == 1006 || c > 1014 && c < 3000 || c > 4999 {
					return events, false
				}
			}
			events = append(events, string(rune(o))+" \x00 "+string(data))
			continue
		}
		if o != 0 {
			op, text, size = o, nil, 0
		}
		size += len(data)
		message := byte(0)
		if op == 1 {
			text = append(text, data...)
			if fin && !utf8.Valid(text) || !fin && !beginsValid(text) {
				return events, false
			}
		}
		if fin {
			message, op, size = op, 0, 0
		}
		events = append(events, string(rune(o))+" "+string(rune(message))+" "+string(data))
	}
	return events, true
}

// beginsValid reports whether b can still become valid UTF-8.
func beginsValid(b []byte) bool {
	for cut := 0; cut < 4 && cut <= len(b); cut++ {
		if head, tail := b[:len(b)-cut], b[len(b)-cut:]; utf8.Valid(head) && (cut == 0 || !utf8.FullRune(tail)) {
			return true
		}
	}
	return false
}

// FuzzFrame: in whatever pieces frames come, the result is that of the whole, and that of a second parser.
func FuzzFrame(f *testing.F) {
	masked := func(op byte, payload string) []byte {
		b := []byte{op, 0x80 | byte(len(payload)), 1, 2, 3, 4}
		for i := range payload {
			b = append(b, payload[i]^byte(i%4+1))
		}
		return b
	}
	f.Add(masked(0x81, "hello"), []byte{1, 1, 1})
	f.Add(append(masked(0x01, "\xe2\x82"), masked(0x80, "\xac")...), []byte{3})
	f.Add(append(masked(0x02, "ab"), append(masked(0x89, "p"), masked(0x80, "c")...)...), []byte{7, 2})
	f.Add(masked(0x88, "\x03\xe8bye"), []byte{})
	f.Add([]byte{0x82, 0xfe, 0, 126, 1, 2, 3, 4}, []byte{2})
	f.Add([]byte{0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, []byte{2})
	f.Fuzz(func(t *testing.T, p, cuts []byte) {
		whole, pieces := split(bytes.Clone(p), nil), split(bytes.Clone(p), cuts)
		if strings.Join(whole, "\n") != strings.Join(pieces, "\n") {
			t.Fatalf("%x\nwhole  %q\npieces %q", p, whole, pieces)
		}
		want, ok := simple(p)
		if !ok {
			want = append(want, "breach")
			if len(whole) != len(want) {
				t.Fatalf("%x\nparsed %q\nsecond %q", p, whole, want)
			}
			whole, want = whole[:len(whole)-1], want[:len(want)-1]
		}
		if strings.Join(whole, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%x\nparsed %q\nsecond %q", p, whole, want)
		}
	})
}

// BenchmarkFrame measures what a small text message of a client costs.
func BenchmarkFrame(b *testing.B) {
	p := []byte{0x81, 0x85, 1, 2, 3, 4, 'h' ^ 1, 'e' ^ 2, 'l' ^ 3, 'l' ^ 4, 'o' ^ 1}
	f := new(Parser)
	b.ReportAllocs()
	for b.Loop() {
		q := [11]byte(p)
		if fr, n, e := f.Next(q[:], fuzzMax); e != nil || n != len(p) || fr.Message != ws.OpText {
			b.Fatal(fr, n, e)
		}
	}
}

// TestUnfinishedFrameIsNotCopied: a frame that comes in pieces costs what its bytes cost: they are not copied again for
// each piece, however small it is.
func TestUnfinishedFrameIsNotCopied(t *testing.T) {
	const size = 1 << 20
	sent := append([]byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, size >> 16, 0, 0}, make([]byte, 4+size)...)
	for name, tt := range map[string]struct{ first, piece int }{
		"64 KB pieces": {64 << 10, 64 << 10}, "single bytes behind most of it": {size - 4000, 1}, "single bytes of a head": {1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, copied := new(Parser), 0
			var last *byte
			rest := bytes.Clone(sent)
			for n := tt.first; len(rest) > 0; n = tt.piece {
				if tt.first == 1 && len(sent)-len(rest) > 5000 {
					n = len(rest)
				}
				n = min(n, len(rest))
				p := f.Join(rest[:n])
				rest = rest[n:]
				fr, used, e := f.Next(p, size)
				if e != nil || (used > 0) != (len(rest) == 0) || used > 0 && len(fr.Payload) != size {
					t.Fatalf("%d bytes used, %v, with %d to come", used, e, len(rest))
				}
				f.Keep(p[used:])
				if len(f.buf) > 0 && &f.buf[0] != last { // it has moved
					copied, last = copied+len(f.buf), &f.buf[0]
				}
			}
			if copied > 8*size || !f.Empty() {
				t.Errorf("%d bytes were copied for %d, and empty is %v", copied, size, f.Empty())
			}
		})
	}
}
