package fcgi

import "encoding/binary"

// Params writes the PARAMS stream of a request: name-value pairs (FastCGI §3.4) in as many records as they need. Which
// ones is up to Request.Append. A record ends between two pairs wherever that is possible, because php-fpm reads each
// record on its own; only a pair larger than a record is spread over several.
type Params struct {
	b    []byte
	id   uint16
	head int // where the open record's header begins in b

	of *Request // whose Extra takes the place of what Add writes; nil: nothing does
}

// NewParams begins the stream of request id at the end of b.
func NewParams(b []byte, id uint16) Params {
	p := Params{b: b, id: id}
	p.open()
	return p
}

// Add writes one pair, unless the configuration has another for its name.
func (p *Params) Add(name string, value []byte) {
	if p.of == nil || !p.of.replaces(name) {
		addPair(p, name, value)
	}
}

// AddString is Add.
func (p *Params) AddString(name, value string) {
	if p.of == nil || !p.of.replaces(name) {
		addPair(p, name, value)
	}
}

// End closes the stream and returns everything written.
func (p *Params) End() []byte {
	p.close()
	return appendHeader(p.b, typeParams, p.id, 0, 0)
}

func addPair[V string | []byte](p *Params, name string, value V) {
	p.begin(len(name), len(value))
	put(p, name)
	put(p, value)
}

// begin writes the two lengths of a pair whose name and value are put next.
func (p *Params) begin(name, value int) {
	var lengths [8]byte
	l := appendLength(appendLength(lengths[:0], name), value)
	if len(l)+name+value > p.room() {
		p.close()
		p.open()
	}
	put(p, l)
}

// appendLength takes one byte below 128, else four with the top bit set.
func appendLength(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}

func put[V string | []byte](p *Params, v V) {
	for len(v) > 0 {
		if p.room() == 0 {
			p.close()
			p.open()
		}
		n := min(len(v), p.room())
		p.b = append(p.b, v[:n]...)
		v = v[n:]
	}
}

func (p *Params) room() int { return MaxContent - (len(p.b) - p.head - headerSize) }

func (p *Params) open() {
	p.head = len(p.b)
	p.b = appendHeader(p.b, typeParams, p.id, 0, 0)
}

// close fills in the open record's length, or takes it back if it is empty: that would end the stream.
func (p *Params) close() {
	n := len(p.b) - p.head - headerSize
	if n == 0 {
		p.b = p.b[:p.head]
		return
	}
	pad := padding(n)
	binary.BigEndian.PutUint16(p.b[p.head+4:], uint16(n))
	p.b[p.head+6] = byte(pad)
	p.b = append(p.b, zeros[:pad]...)
}
