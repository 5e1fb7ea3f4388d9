package upgrade

import (
	"time"

	"holdfast/internal/park"
)

// A held connection is read in turns, and at a rate. A client that sends faster is not refused: Holdfast stops reading
// it for a while, so that its kernel stops it.

const (
	readsPerTurn  = 2  // of 64 kB each
	framesPerTurn = 64 // a frame may cost a system call to answer

	minFrameRate = 100             // frames of all kinds a second; ten times push.message_rate if that is more
	burst        = 2 * time.Second // worth of either rate may come at once
	paceUnit     = 16 * time.Microsecond
)

// lead returns how far the client is ahead of its rate. Of a connection that has been idle for hours the difference is
// that of a clock that has gone round.
func (x *held) lead() time.Duration {
	d := time.Duration(int32(x.paid-x.k.paceNow(x.c.Loop()))) * paceUnit
	if d < 0 || d > 10*burst {
		return 0
	}
	return d
}

func (k *Keeper) paceNow(l *park.Loop) int32 {
	return int32(uint32(l.Now().Sub(k.born) / paceUnit))
}

// spend counts one of what may come rate times a second.
func (x *held) spend(rate int) {
	lead := x.lead() + time.Second/time.Duration(rate)
	x.paid = x.k.paceNow(x.c.Loop()) + int32(lead/paceUnit)
}

// spendFrame counts a frame, or a reading of a client that has nothing to send.
func (x *held) spendFrame() { x.spend(max(minFrameRate, 10*x.k.o.MessageRate)) }

// tooFast stops reading for a while if the client is ahead of its rate. It reports whether it has.
func (x *held) tooFast() bool {
	over := x.lead() - burst
	if over <= 0 {
		return false
	}
	x.k.stats.throttled.Add(1)
	x.pause(over + 50*time.Millisecond)
	return true
}

// pause stops reading for d, or, if d is zero, until the loop's other connections have had their turn.
func (x *held) pause(d time.Duration) {
	x.paused = true
	ref, loop := x.c.Ref(), x.c.Loop()
	resume := func() {
		if c, ok := ref.Conn(); ok && c.Handler() == park.Handler(x) {
			x.unpause()
		}
	}
	if d <= 0 {
		loop.Later(resume)
		return
	}
	time.AfterFunc(d, func() { loop.Post(resume) })
}

// unpause goes on with what was read already, and then with reading.
func (x *held) unpause() {
	if x.paused = false; x.form.resume(x) && !x.paused {
		x.read()
	}
}

// read takes what the client sends, one turn of it.
func (x *held) read() {
	if x.paused {
		return
	}
	in := x.c.Loop().In()
	for range readsPerTurn {
		n, err := x.c.Read(in)
		if err == park.ErrAgain {
			x.readAll = true
			return
		}
		if err != nil {
			x.end(clientGone)
			return
		}
		x.pinged = false
		if !x.form.read(x, in[:n]) || x.paused {
			return
		}
	}
	x.pause(0)
}

// receiving counts n more bytes that wait to be read. It reports whether they may: past Options.InboundTotal the
// connection is to be closed.
func (x *held) receiving(n int) bool {
	s := &x.k.stats
	if total := s.inbound.Add(int64(n)); n <= 0 || x.k.o.InboundTotal <= 0 || total <= x.k.o.InboundTotal {
		return true
	}
	if total, due := x.k.inboundFull.Due(x.c.Loop().Now()); due {
		x.k.o.Log.Warn("connection closed: receive memory is full; see push.receive_total",
			"transport", x.form.transport(), "client", x.client(), "limit", x.k.o.InboundTotal, "total", total)
	}
	s.inbound.Add(int64(-n))
	return false
}

// takes is receiving for a message that has come and now waits, or is with the app: it closes a connection whose message
// has no room. What it was read from has served, and counts no more; keepFrames counts what of it is left.
func (in *inbound) takes(n int) bool {
	if f := in.frames; f != nil {
		in.x.k.stats.inbound.Add(int64(-f.counted))
		f.counted = 0
	}
	if in.x.receiving(n) {
		return true
	}
	in.d.closeWith(in.x, 1013, tooMuch, inboundFull)
	return false
}

// gave counts n bytes less, on any goroutine: what takes has counted is done with, whether or not the client is still
// there.
func (k *Keeper) gave(n int) { k.stats.inbound.Add(int64(-n)) }

const (
	tooMuch       = "too much is being received; try again later"
	maxInflations = 4 // messages that are inflated on workers at the same time; each may take three times max_message
)
