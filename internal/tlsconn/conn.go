package tlsconn

import (
	"errors"
	"io"
	"sync"

	"holdfast/internal/park"
	"holdfast/internal/tlsrecord"
)

// errTruncated means that the peer has ended its side without close_notify: somebody else may have done that.
var errTruncated = errors.New("tls: the connection ended without close_notify")

// conn is a connection of TLS 1.3.
type conn struct {
	tlsrecord.Session
	group *group   // of its loop
	buf   *buffers // nil while there is nothing to keep
}

// buffers are what a connection keeps between two calls.
type buffers struct {
	raw   []byte // received, of an incomplete record or beyond what the reader has taken
	plain []byte // decrypted, and not taken
	err   error  // of all further reading
	sending
}

func (b *buffers) empty() bool {
	return len(b.raw)+len(b.plain) == 0 && b.err == nil && b.sending.empty()
}

var _ park.Layer = (*conn)(nil)

// readSize is how much of the socket is read at once: two records.
const readSize = 2 * tlsrecord.MaxRecord

var (
	readPool = sync.Pool{New: func() any { return new([readSize]byte) }}
	sealPool = sync.Pool{New: func() any { return new([tlsrecord.MaxSealed]byte) }}
)

func (c *conn) buffers() *buffers {
	if c.buf == nil {
		c.buf = new(buffers)
	}
	return c.buf
}

// tidy releases the buffers if they have nothing.
func (c *conn) tidy() {
	if c.buf != nil && c.buf.empty() {
		c.buf = nil
	}
}

// Read implements park.Layer.
func (c *conn) Read(s park.Socket, p []byte) (n int, err error) {
	if b := c.buf; b != nil {
		n = copy(p, b.plain)
		if b.plain = b.plain[n:]; len(b.plain) == 0 {
			b.plain = nil
		}
		if n == len(p) {
			c.tidy()
			return n, nil
		}
		if b.err != nil {
			return n, endAfter(s, n, b.err)
		}
	}
	c.group.use(s, c)
	space := readPool.Get().(*[readSize]byte)
	n, err = c.read(s, space[:], p, n)
	readPool.Put(space)
	c.tidy()
	return n, err
}

// endOf returns err for a reading that has no data before it.
func endOf(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

// endAfter is endOf for an error that stays. The kernel has no other event for it, so the handler is told after the data.
func endAfter(s park.Socket, n int, err error) error {
	if n > 0 {
		s.Again(park.Readable | park.HangUp)
	}
	return endOf(n, err)
}

// read reads records into space, and their data into p, of which n bytes are filled, until p is full or the socket has
// no more.
func (c *conn) read(s park.Socket, space, p []byte, n int) (int, error) {
	have := 0 // bytes of space: the beginning of a record
	if c.buf != nil {
		have = copy(space, c.buf.raw)
		c.buf.raw = nil
	}
	short := false // the socket had less than was asked for
	for {
		used, filled, err := c.open(space[:have], p[n:])
		n += filled
		have = copy(space, space[used:have])
		if err != nil {
			return n, c.readFailed(s, n, err)
		}
		if n == len(p) || short && n > 0 {
			c.keepRaw(space[:have])
			return n, nil
		}
		end := c.readUpTo(space[:have], len(p)-n)
		m, err := s.Read(space[have:end])
		if err == park.ErrAgain {
			c.keepRaw(space[:have])
			return n, endOf(n, err)
		}
		if err != nil {
			if err == io.EOF {
				err = errTruncated
			}
			return n, c.readFailed(s, n, err)
		}
		short = have+m < end
		have += m
	}
}

// readUpTo returns up to where to read records that begin with have, for room bytes of data: enough for one, and no more
// than is needed.
func (c *conn) readUpTo(have []byte, room int) int {
	want := room + tlsrecord.Overhead
	if len(have) >= tlsrecord.HeaderLen {
		if size, err := tlsrecord.RecordLen(have); err == nil {
			want = max(want, size)
		}
	}
	return min(max(want, len(have)+tlsrecord.HeaderLen), readSize)
}

func (c *conn) keepRaw(b []byte) {
	if len(b) > 0 {
		c.buffers().raw = append([]byte(nil), b...)
	}
}

// open decrypts the complete records in b into p. What p has no room for, of the last one, it keeps.
func (c *conn) open(b, p []byte) (used, n int, err error) {
	for n < len(p) && len(b)-used >= tlsrecord.HeaderLen {
		size, err := tlsrecord.RecordLen(b[used:])
		if err != nil {
			return used, n, err
		}
		if len(b)-used < size {
			break
		}
		data, err := c.Open(p[n:n:len(p)], b[used:used+size])
		if err != nil {
			return used, n, err
		}
		used += size
		if len(data) == 0 {
			continue
		}
		m := len(data)
		if &data[0] != &p[n] {
			m = copy(p[n:], data)
		}
		n += m
		if m < len(data) {
			c.buffers().plain = append([]byte(nil), data[m:]...)
		}
	}
	return used, n, nil
}

// readFailed keeps err for all further reading and sends its alert. It returns what Read returns after n bytes.
func (c *conn) readFailed(s park.Socket, n int, err error) error {
	b := c.buffers()
	b.err = err
	var fault *tlsrecord.Fault
	var received *tlsrecord.Received
	switch {
	case errors.As(err, &fault):
		c.group.failed(s, fault.Alert.String(), err)
		if !c.Ended() {
			c.push(s, c.SealAlert(nil, fault.Alert))
		}
	case errors.As(err, &received):
		c.group.failed(s, "received_"+received.Alert.String(), err)
	}
	return endAfter(s, n, err)
}

// Write implements park.Layer.
func (c *conn) Write(s park.Socket, a, b []byte) (n int, err error) {
	if c.buf != nil {
		if err := c.Flush(s); err != nil {
			return 0, err
		}
	}
	if c.Ended() {
		return 0, errEnded
	}
	if len(a)+len(b) == 0 {
		return 0, nil
	}
	c.group.use(s, c)
	space := sealPool.Get().(*[tlsrecord.MaxSealed]byte)
	defer sealPool.Put(space)
	for len(a)+len(b) > 0 {
		records, m := c.Seal(space[:0], a, b)
		n += m
		k := min(m, len(a))
		a, b = a[k:], b[m-k:]
		w, err := s.Write(records)
		switch {
		case err == park.ErrAgain:
			c.buffers().keep(records[w:])
			if len(a)+len(b) == 0 {
				return n, nil
			}
			return n, err
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// push sends records of the session's own, after what is kept.
func (c *conn) push(s park.Socket, records []byte) {
	c.buffers().keep(records)
	_ = c.Flush(s)
}

// Flush implements park.Layer.
func (c *conn) Flush(s park.Socket) error {
	if c.buf == nil {
		return nil
	}
	err := c.buf.flush(s)
	c.tidy()
	return err
}

// Unsent implements park.Layer.
func (c *conn) Unsent() int {
	if c.buf == nil {
		return 0
	}
	return len(c.buf.out)
}

// Peek implements park.Layer.
func (c *conn) Peek(s park.Socket, p []byte) (int, error) {
	if b := c.buf; b == nil || len(b.plain) == 0 {
		space := sealPool.Get().(*[tlsrecord.MaxSealed]byte)
		defer sealPool.Put(space)
		n, err := c.Read(s, space[:])
		if n == 0 {
			return 0, err
		}
		b := c.buffers()
		b.plain = append(append([]byte(nil), space[:n]...), b.plain...)
	}
	return copy(p, c.buf.plain), nil
}

// CloseWrite implements park.Layer.
func (c *conn) CloseWrite(s park.Socket) error {
	if !c.Ended() {
		c.group.use(s, c)
		c.buffers().keep(c.SealAlert(nil, tlsrecord.CloseNotify))
	}
	c.buffers().shut = true
	err := c.Flush(s)
	if err == park.ErrAgain {
		return nil
	}
	return err
}

// unread implements layer.
func (c *conn) unread(b []byte) { c.keepRaw(b) }

// Lend implements park.Layer.
func (c *conn) Lend(s park.Socket, lent bool) {
	if lent {
		c.group.remove(s, c)
	} else if c.Working() {
		c.group.use(s, c)
	}
}

// broken reports whether reading has failed, and not by close_notify.
func (c *conn) broken() bool { return c.buf != nil && c.buf.err != nil && c.buf.err != io.EOF }

// Close implements park.Layer.
func (c *conn) Close(s park.Socket, reset bool) (unsent []byte) {
	c.group.remove(s, c)
	c.group.closed(tls13)
	if !reset && !c.Ended() && !c.broken() {
		c.push(s, c.SealAlert(nil, tlsrecord.CloseNotify))
	}
	if c.buf != nil {
		unsent = c.buf.out
	}
	c.Wipe()
	c.buf = nil
	return unsent
}
