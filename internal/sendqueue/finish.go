package sendqueue

import (
	"sync/atomic"
	"time"

	"holdfast/internal/park"
)

// How long a client has that is to read the rest of a frame and the goodbye: without reading any, and in all.
const (
	finishStall = 10 * time.Second
	finishTime  = time.Minute
)

// finish has a connection that has left its channels. Then it ends as park.Linger has it, and with a reset only if the
// client does not read.
type finish struct {
	total *atomic.Int64
	rest  [2][]byte
	bytes int
	moved bool
	until time.Time
}

// Finish takes a connection over, on its loop, to write the rest of what was begun and then last, and to end it. The bytes
// count in total while they wait.
func Finish(c *park.Conn, begun, last []byte, total *atomic.Int64) {
	f := &finish{total: total, rest: [2][]byte{begun, last}, bytes: len(begun) + len(last), until: c.Loop().Now().Add(finishTime)}
	total.Add(int64(f.bytes))
	c.Hold(f)
	c.SetDeadline(finishStall)
	f.flush(c)
}

// Ready writes on. What the client sends is left to park.Linger.
func (f *finish) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		if !f.moved || c.Loop().Now().After(f.until) {
			f.release()
			c.Abort()
			return
		}
		f.moved = false
		c.SetDeadline(finishStall)
	}
	f.flush(c)
}

func (f *finish) flush(c *park.Conn) {
	for i := range f.rest {
		n, err := c.Write(f.rest[i])
		if f.rest[i] = f.rest[i][n:]; n > 0 {
			f.moved = true
		}
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			f.release()
			c.Close()
			return
		}
	}
	f.release()
	park.Linger(c)
}

func (f *finish) release() {
	f.total.Add(int64(-f.bytes))
	f.bytes = 0
}
