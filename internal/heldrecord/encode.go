package heldrecord

import "holdfast/internal/plainval"

// encoder appends the parts of a record.
type encoder struct{ plainval.Encoder }

// has appends whether there is a part.
func (e *encoder) has(is bool) bool {
	e.Bool(is)
	return is
}

// Append appends a record to b.
func Append(b []byte, r *Record) []byte {
	e := &encoder{plainval.Encoder{B: b}}
	e.String(r.Dialect)
	e.String(r.ID)
	e.Uint(uint64(len(r.Channels)))
	for _, c := range r.Channels {
		e.String(c.Name)
		e.String(c.Access)
	}
	if e.has(r.Client.IsValid()) {
		address, err := r.Client.MarshalBinary()
		if err != nil {
			panic(err) // it never fails
		}
		e.Bytes(address)
	}
	if e.has(r.Session != nil) {
		e.session(r.Session)
	}
	e.Uint(uint64(len(r.Queue)))
	for i := range r.Queue {
		e.item(&r.Queue[i])
	}
	for _, p := range r.Pongs {
		e.Bytes(p)
	}
	for _, is := range [...]bool{r.Reported, r.Answered, r.Pinged, r.Stalled, r.Paused} {
		e.Bool(is)
	}
	e.Duration(r.Lead)
	if e.has(r.Inbound != nil) {
		e.inbound(r.Inbound)
	}
	if e.has(r.Poll != nil) {
		p := r.Poll
		e.Bytes(p.Rest)
		e.String(p.Fields)
		e.Bool(p.Close)
		e.Bool(p.Gzip)
	}
	return e.B
}

func (e *encoder) item(i *Item) {
	if e.has(i.Bytes != nil) {
		e.Bytes(i.Bytes)
	}
	e.Uint(i.Message)
	e.String(i.Channel)
	e.Bool(i.Gap)
	e.Bool(i.Counted)
}

func (e *encoder) session(s *Session) {
	e.Bool(s.Told)
	e.String(s.User)
	e.Uint(s.Rank)
	e.Uint(uint64(len(s.Credentials)))
	for _, c := range s.Credentials {
		e.Uint(c)
	}
	if e.has(s.Grant != nil) {
		e.String(s.Grant.User)
		e.Time(s.Grant.ExpiresAt)
		e.Strings(s.Grant.Channels)
	}
	e.request(s.Ask)
	e.Bool(s.Asking)
	e.Time(s.Expires)
	e.Time(s.Failing)
	e.Time(s.NextHeartbeat)
}

func (e *encoder) request(q *Request) {
	if !e.has(q != nil) {
		return
	}
	e.Strings(q.Channels)
	for _, s := range q.fields() {
		e.String(*s)
	}
}

// fields are the texts of a request, in the order in which they are written.
func (q *Request) fields() [10]*string {
	return [...]*string{
		&q.Host, &q.Cookie, &q.Authorization, &q.UserAgent, &q.AcceptLanguage, &q.Proto, &q.ClientAddr, &q.ForwardedFor,
		&q.ForwardedHost, &q.ForwardedPort,
	}
}

func (e *encoder) inbound(in *Inbound) {
	e.request(in.Login)
	e.Uint(uint64(in.FrameErrors))
	e.Uint(uint64(len(in.Queued)))
	for _, m := range in.Queued {
		e.Bytes(m.Data)
		e.Uint(uint64(m.Op))
	}
	e.Bytes(in.Unread)
	if o := in.Open; e.has(o != nil) {
		e.Uint(uint64(o.Op))
		e.Uint(uint64(o.Received))
		e.Bool(o.Whole)
		e.Bytes(o.Body)
		e.Bytes(o.Tail)
		e.Bool(o.Deflated)
	}
	e.Time(in.Since)
}
