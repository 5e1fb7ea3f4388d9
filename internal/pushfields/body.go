package pushfields

import (
	"bytes"
	"fmt"

	"holdfast/internal/http1"
)

// beginBody begins to read the message, if the response's body can be one.
func (x *Response) beginBody(a *http1.Answer) {
	var buf [2][]byte
	for _, coding := range http1.AppendValues(buf[:0], a.Fields, "content-encoding") {
		if coding = http1.TrimOWS(coding); len(coding) > 0 && !http1.EqualFold(coding, "identity") {
			x.fail(encodedBody, errEncoded)
			return
		}
	}
	switch {
	case x.isHead || a.Status == 204 || a.Status == 205 || a.Status == 304 || a.Redirect != nil:
		x.fail(noBody, errNoBody)
	case a.Length > int64(x.r.o.MaxMessage):
		x.fail(tooLarge, x.tooLarge("Push-Body", int(a.Length)))
	default:
		x.reading = true
	}
}

// Add takes a piece of the body; last says that it is complete. It is called before the client has the piece.
func (x *Response) Add(data []byte, last bool) {
	if x == nil || !x.reading {
		return
	}
	if n := len(x.draft.Data) + len(data); n > x.r.o.MaxMessage {
		x.fail(tooLarge, x.tooLarge("Push-Body", n))
		return
	}
	x.reserved += int64(len(data))
	if x.r.buffered.Add(int64(len(data))) > x.r.o.MaxTotal {
		x.fail(noMemory, errMemory)
		return
	}
	x.draft.Data = append(x.draft.Data, data...)
	if !last {
		return
	}
	d := x.draft
	d.Data = bytes.Clone(d.Data) // without what it may grow by
	_, err := x.r.o.Publisher.Publish(d)
	x.published(err)
	x.stop()
}

// Close ends a response, complete or not.
func (x *Response) Close() {
	switch {
	case x == nil:
	case x.reading:
		x.fail(cutBody, errCut)
	case x.Awaited(): // whether it would have published is not known
		x.seen = true
		x.r.unseen.Add(1)
	}
}

// decode returns what an URL-encoded value means: %XX is a byte, + is a space. Characters that no encoder leaves as they are
// are refused, as a value that was not encoded would mean something else as soon as it has a + or % in it.
func decode(value []byte) ([]byte, error) {
	b := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(value) && http1.IsHex(value[i+1]) && http1.IsHex(value[i+2]):
			b = append(b, unhex(value[i+1])<<4|unhex(value[i+2]))
			i += 2
		case http1.IsDigit(c), c|0x20 >= 'a' && c|0x20 <= 'z', bytes.IndexByte([]byte("-._~!'()*"), c) >= 0:
			b = append(b, c)
		default:
			return nil, fmt.Errorf("Push-Data is not URL-encoded: %q at byte %d; encode it by rawurlencode of PHP, URLEncoder.encode of Java or the like", c, i+1)
		}
	}
	return b, nil
}

func unhex(c byte) byte {
	if http1.IsDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
