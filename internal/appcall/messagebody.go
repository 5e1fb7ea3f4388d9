package appcall

import (
	"encoding/base64"
	"io"
)

// bodyPiece is how many bytes of a message are encoded at a time. Base64 makes whole groups of it.
const bodyPiece = 3 << 12

// messageBody reads the JSON of a client message. Its data is encoded piece by piece: a whole message of bytes that need
// escaping would take six times its size.
type messageBody struct {
	head, tail []byte
	data       []byte                   // not read yet
	encode     func(b, p []byte) []byte // appends p as it stands between head and tail

	begun, ended bool
	buf          []byte // of encode
	rest         []byte // encoded and not read yet
}

func (m *ClientMessage) body() *messageBody {
	head := appendString([]byte(`{"connection":`), m.Connection)
	if m.User != "" {
		head = appendString(append(head, `,"user":`...), m.User)
	}
	head = append(head, `,"data":`...)
	b := &messageBody{data: m.Data}
	switch {
	case m.JSON:
		b.head, b.tail, b.encode = head, []byte("}"), func(b, p []byte) []byte { return append(b, p...) }
	case m.Binary:
		b.head, b.tail, b.encode = append(head, '"'), []byte(`","encoding":"base64"}`), base64.StdEncoding.AppendEncode
	default:
		b.head, b.tail, b.encode = append(head, '"'), []byte(`"}`), appendEscaped[[]byte]
	}
	return b
}

func (b *messageBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		switch {
		case !b.begun:
			b.begun, b.rest = true, b.head
		case len(b.data) > 0:
			n := min(len(b.data), bodyPiece)
			b.buf = b.encode(b.buf[:0], b.data[:n])
			b.data, b.rest = b.data[n:], b.buf
		case !b.ended:
			b.ended, b.rest = true, b.tail
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// appendString appends text, which is UTF-8, as a JSON string.
func appendString(b []byte, text string) []byte {
	return append(appendEscaped(append(b, '"'), text), '"')
}

// appendEscaped appends UTF-8 as it stands in a JSON string.
func appendEscaped[T string | []byte](b []byte, text T) []byte {
	const hex = "0123456789abcdef"
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return b
}
