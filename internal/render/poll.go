package render

import (
	"strconv"

	"holdfast/internal/deflate"
	"holdfast/internal/hub"
	"holdfast/internal/jsontext"
)

// PollResponse is the response to a long poll.
type PollResponse struct {
	Messages []*hub.Message
	Next     hub.ID // the client's position after it
	Gaps     []hub.Gap

	Date   []byte // the line of that field
	Fields string // further fields of the head, each line with its CRLF
	Varies bool   // by what the client accepts: others may get it compressed
	Gzip   bool
	Close  bool // the connection ends with it
}

const pollBegin = `{"messages":[`

// Alone reports whether the batch is one message that no other subscriber gets, and its response, not compressed, has
// at most limit bytes for sure. AppendTo then renders it into the response.
func Alone(batch []*hub.Message, limit int) bool {
	if len(batch) != 1 || !batch[0].Sole() {
		return false
	}
	m := batch[0]
	const most = 6 // bytes for a byte that is escaped
	return most*(len(m.Channel)+len(m.Event)+len(m.Data)) <= limit-2*headRoom
}

// FirstMessages returns how many of the messages one response of at most limit bytes has room for, one at least, and
// their bytes in it.
func FirstMessages(batch []*hub.Message, limit int) (n, size int) {
	for i, m := range batch {
		more := len(object(m))
		if i > 0 {
			if more++; size+more > limit {
				break
			}
		}
		n, size = n+1, size+more
	}
	return n, size
}

// appendEnd appends what comes after the messages.
func (r *PollResponse) appendEnd(b []byte) []byte {
	b = append(b, `],"next":"`...)
	b = r.Next.Append(b)
	b = append(b, '"')
	for i, g := range r.Gaps {
		if i == 0 {
			b = append(b, `,"gap":[`...)
		} else {
			b = append(b, ',')
		}
		b = jsontext.AppendString(b, g.Channel)
	}
	if len(r.Gaps) > 0 {
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

// headRoom is left in front of a response's body, so that the head can be written there once the length of
// the body is known.
const headRoom = 512

// AppendTo writes the whole response, not compressed, into buf, of which it uses what is needed; buf is empty. The
// response need not begin where buf does.
func (r *PollResponse) AppendTo(buf []byte) []byte {
	b := append(buf[:headRoom], pollBegin...)
	for i, m := range r.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		if m.Sole() && len(r.Messages) == 1 {
			b = appendMembers(append(b, '{'), m)
		} else {
			b = append(b, object(m)...)
		}
	}
	b = r.appendEnd(b)
	head := r.appendHead(b[len(b):], len(b)-headRoom) // made behind the body
	if len(head) > headRoom {
		return append(head, b[headRoom:]...)
	}
	b = b[headRoom-len(head):]
	copy(b, head)
	return b
}

// largeObject is sent by itself: a slow client waits for the form that all others share, and not for a copy.
const largeObject = 4 << 10

// Send sends the response in pieces. What is between large messages is made in buf, which is empty. A piece that is
// shared stays as it is. Send stops when send reports false, and reports whether all is sent.
func (r *PollResponse) Send(buf []byte, send func(b []byte, shared bool) bool) bool {
	p := r.plain()
	if r.Gzip {
		p = r.gzipped()
	}
	buf = append(r.appendHead(buf, p.size()), p.begin...)
	for i, m := range p.batch {
		if i > 0 {
			buf = append(buf, p.between...)
		}
		o := p.object(m)
		if len(o) < largeObject && len(buf)+len(o) <= cap(buf) {
			buf = append(buf, o...)
			continue
		}
		if !send(buf, false) || !send(o, true) {
			return false
		}
		buf = buf[:0]
	}
	return send(append(buf, p.end...), false)
}

// pieces are a response's body: what is around the messages, and the messages, each in a form that all responses share.
type pieces struct {
	begin, between, end []byte
	batch               []*hub.Message
	object              func(*hub.Message) []byte
}

var comma = []byte{','}

func (r *PollResponse) plain() *pieces {
	return &pieces{begin: []byte(pollBegin), between: comma, end: r.appendEnd(nil), batch: r.Messages, object: object}
}

func (r *PollResponse) gzipped() *pieces {
	end := r.appendEnd(nil)
	sum := new(deflate.Sum) // of the response without compression
	sum.Add([]byte(pollBegin))
	for i, m := range r.Messages {
		if i > 0 {
			sum.Add(comma)
		}
		sum.Add(object(m))
	}
	sum.Add(end)
	return &pieces{
		begin:   deflate.AppendStored([]byte(deflate.GzipHead), []byte(pollBegin), false),
		between: deflate.AppendStored(nil, comma, false),
		end:     sum.AppendTrailer(deflate.AppendStored(nil, end, true)),
		batch:   r.Messages, object: deflatedObject,
	}
}

// size is that of all pieces together.
func (p *pieces) size() int {
	n := len(p.begin) + len(p.end) + max(len(p.batch)-1, 0)*len(p.between)
	for _, m := range p.batch {
		n += len(p.object(m))
	}
	return n
}

func (r *PollResponse) appendHead(b []byte, length int) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"...)
	b = append(b, r.Date...)
	b = append(b, r.Fields...)
	if r.Varies {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	if r.Gzip {
		b = append(b, "Content-Encoding: gzip\r\n"...)
	}
	if r.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, "\r\n\r\n"...)
}
