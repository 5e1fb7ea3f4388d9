package sendqueue

import (
	"sync/atomic"
	"time"

	"holdfast/internal/linger"
	"holdfast/internal/park"
)

// How long a client has to read the rest of a frame and the last bytes: without any progress, and in all.
const (
	finishStall = 10 * time.Second
	finishTime  = time.Minute
)

// finish is the handler of a connection that has left its channels. It sends the last bytes and then calls linger.Close;
// it resets the connection only if the client does not read.
type finish struct {
	total *atomic.Int64
	rest  [2][]byte
	bytes int
	moved bool
	until time.Time
}

// Finish takes over a connection, on its loop. It writes begun, the rest of an item, then last, and ends the
// connection. The bytes count in total while they wait.
func Finish(c *park.Conn, begun, last []byte, total *atomic.Int64) {
	f := &finish{total: total, rest: [2][]byte{begun, last}, bytes: len(begun) + len(last), until: c.Loop().Now().Add(finishTime)}
	total.Add(int64(f.bytes))
	c.Hold(f)
	c.SetDeadline(finishStall)
	f.flush(c)
}

// Ready continues to write. linger.Close reads what the client sends.
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
	linger.Close(c)
}

func (f *finish) release() {
	f.total.Add(int64(-f.bytes))
	f.bytes = 0
}
