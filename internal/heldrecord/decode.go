package heldrecord

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"

	"holdfast/internal/plainval"
)

// decoder reads the parts of a record.
type decoder struct{ *plainval.Decoder }

// Parse reads what Append of this or an earlier version has appended. The record has no part of b.
func Parse(version uint16, b []byte) (*Record, error) {
	if version == 0 || version > Version {
		return nil, fmt.Errorf("held connection: version %d is not known", version)
	}
	d := decoder{plainval.NewDecoder(b)}
	r := &Record{Dialect: d.String(), ID: d.String()}
	for range d.Count() {
		r.Channels = append(r.Channels, Channel{d.String(), d.String()})
	}
	if d.Bool() {
		r.Client = d.address()
	}
	if d.Bool() {
		r.Session = d.session()
	}
	for range d.Count() {
		r.Queue = append(r.Queue, d.item())
	}
	for i := range r.Pongs {
		r.Pongs[i] = d.bytes()
	}
	for _, is := range [...]*bool{&r.Reported, &r.Answered, &r.Pinged, &r.Stalled, &r.Paused} {
		*is = d.Bool()
	}
	r.Lead = d.Duration()
	if d.Bool() {
		r.Inbound = d.inbound()
	}
	if d.Bool() {
		r.Poll = &Poll{Rest: d.bytes(), Fields: d.String(), Close: d.Bool(), Gzip: d.Bool()}
	}
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("held connection: %w", err)
	}
	return r, nil
}

// bytes reads bytes, as a copy; nil if there are none.
func (d decoder) bytes() []byte { return bytes.Clone(d.notEmpty(d.Bytes())) }

func (d decoder) notEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func (d decoder) address() (a netip.AddrPort) {
	if err := a.UnmarshalBinary(d.Bytes()); err != nil || !a.IsValid() {
		d.Fail("no address")
		return netip.AddrPort{}
	}
	return a
}

func (d decoder) item() (i Item) {
	if d.Bool() {
		if i.Bytes = d.bytes(); i.Bytes == nil {
			d.Fail("an item of no bytes")
		}
	}
	i.Message, i.Channel, i.Gap, i.Counted = d.Uint(), d.String(), d.Bool(), d.Bool()
	if (i.Bytes == nil) != (i.Message != 0) || (i.Message != 0) != (i.Channel != "") || i.Gap && i.Message == 0 {
		d.Fail("an item that is neither bytes nor a message")
	}
	return i
}

func (d decoder) session() *Session {
	s := &Session{Told: d.Bool(), User: d.String(), Rank: d.Uint()}
	for range d.Count() {
		s.Credentials = append(s.Credentials, d.Uint())
	}
	if d.Bool() {
		s.Grant = &Grant{User: d.String(), ExpiresAt: d.Time(), Channels: d.Strings()}
	}
	s.Ask, s.Asking = d.request(), d.Bool()
	s.Expires, s.Failing, s.NextHeartbeat = d.Time(), d.Time(), d.Time()
	return s
}

func (d decoder) request() *Request {
	if !d.Bool() {
		return nil
	}
	q := &Request{Channels: d.Strings()}
	for _, s := range q.fields() {
		*s = d.String()
	}
	return q
}

func (d decoder) op() byte { return byte(d.Below(16)) }

func (d decoder) length() int { return int(d.Below(math.MaxInt32)) }

func (d decoder) inbound() *Inbound {
	in := &Inbound{Login: d.request(), FrameErrors: d.length()}
	for range d.Count() {
		in.Queued = append(in.Queued, Message{d.bytes(), d.op()})
	}
	in.Unread = d.bytes()
	if d.Bool() {
		o := &Open{Op: d.op(), Received: d.length(), Whole: d.Bool(), Body: d.bytes(), Tail: d.bytes(), Deflated: d.Bool()}
		if o.Op == 0 || len(o.Tail) >= 4 || len(o.Body) > 0 && len(o.Body) != o.Received {
			d.Fail("fragments that are none")
		}
		in.Open = o
	}
	in.Since = d.Time()
	return in
}
