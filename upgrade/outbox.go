package upgrade

import (
	"bytes"

	"holdfast/internal/park"
)

// outbox is what a slow reader's kernel would not take. Rendered messages are shared by all who wait
// for them, so it costs a reference each.
type outbox struct {
	bufs  [][]byte
	off   int // into the first
	bytes int
}

// send writes b, or queues what is not taken. shared says that b stays as it is. It reports whether the
// connection goes on.
func (x *held) send(b []byte, shared bool) bool {
	n := 0
	if x.out == nil {
		var err error
		if n, err = x.c.Write(b); err == nil {
			return true
		} else if err != park.ErrAgain {
			x.end(clientGone)
			return false
		}
		if x.k.stats.outbox.Load()+int64(len(b)-n) > x.k.o.OutboxTotal {
			x.dropSlow()
			return false
		}
		x.out = &outbox{off: n}
		if !shared {
			b, x.out.off = bytes.Clone(b[n:]), 0
			n = 0
		}
		x.stalled = false
	} else {
		// The rest of one message is always kept; a further one only within the limits.
		if x.out.bytes+len(b) > x.k.o.Outbox || x.k.stats.outbox.Load()+int64(len(b)) > x.k.o.OutboxTotal {
			x.dropSlow()
			return false
		}
		if !shared {
			b = bytes.Clone(b)
		}
	}
	x.out.bufs = append(x.out.bufs, b)
	x.out.bytes += len(b) - n
	x.k.stats.outbox.Add(int64(len(b) - n))
	return true
}

func (x *held) dropSlow() {
	waiting := 0
	if x.out != nil {
		waiting = x.out.bytes
	}
	x.k.o.Log.Info("slow reader dropped", "kind", x.kind.String(), "waiting", waiting, "client", x.c.RemoteAddr(),
		"limits", "push.outbox, push.outbox_total")
	x.end(slow)
}

// flush writes what waits. It reports whether the connection goes on as it is.
func (x *held) flush() bool {
	o := x.out
	for len(o.bufs) > 0 {
		n, err := x.c.Write(o.bufs[0][o.off:])
		o.off += n
		o.bytes -= n
		x.k.stats.outbox.Add(int64(-n))
		if n > 0 {
			x.stalled = false
		}
		if err == park.ErrAgain {
			return true
		}
		if err != nil {
			x.end(clientGone)
			return false
		}
		o.bufs[0] = nil
		o.bufs, o.off = o.bufs[1:], 0
	}
	x.out = nil
	if x.answered {
		x.resume()
		return false
	}
	return true
}

func (x *held) dropOutbox() {
	if x.out != nil {
		x.k.stats.outbox.Add(int64(-x.out.bytes))
		x.out = nil
	}
}
