package upgrade

import (
	"time"

	"holdfast/internal/park"
)

// How long a client has that is to read the rest of a frame and the goodbye: without reading any, and in all.
const (
	farewellStall = 10 * time.Second
	farewellTime  = time.Minute
)

// farewell has a connection that has left its channels: the rest of what was begun and the goodbye are still to be
// written. Then it ends as park.Linger has it, and with a reset only if the client does not read.
type farewell struct {
	k     *Keeper
	rest  [2][]byte
	bytes int
	moved bool
	until time.Time
}

// finish leaves the channels, completes the frame or event that has begun, sends last and ends the connection.
func (x *held) finish(last []byte, why closeReason) {
	w := &farewell{k: x.k, rest: [2][]byte{nil, last}}
	if x.queue != nil {
		w.rest[0] = x.queue.Begun()
	}
	x.leave(why)
	x.form.release(x)
	c := x.c
	w.bytes = len(w.rest[0]) + len(last)
	w.k.stats.outbox.Add(int64(w.bytes))
	w.until = c.Loop().Now().Add(farewellTime)
	c.Hold(w)
	c.SetDeadline(farewellStall)
	w.flush(c)
}

// Ready writes on. What the client sends is left to park.Linger.
func (w *farewell) Ready(c *park.Conn, ev park.Event) {
	if ev&park.Expired != 0 {
		if !w.moved || c.Loop().Now().After(w.until) {
			w.release()
			c.Abort()
			return
		}
		w.moved = false
		c.SetDeadline(farewellStall)
	}
	w.flush(c)
}

func (w *farewell) flush(c *park.Conn) {
	for i := range w.rest {
		n, err := c.Write(w.rest[i])
		if w.rest[i] = w.rest[i][n:]; n > 0 {
			w.moved = true
		}
		if err == park.ErrAgain {
			return
		}
		if err != nil {
			w.release()
			c.Close()
			return
		}
	}
	w.release()
	park.Linger(c)
}

func (w *farewell) release() {
	w.k.stats.outbox.Add(int64(-w.bytes))
	w.bytes = 0
}
