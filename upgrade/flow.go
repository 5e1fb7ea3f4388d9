package upgrade

import (
	"time"

	"holdfast/internal/ending"
	"holdfast/internal/park"
	"holdfast/internal/receive"
)

// A held connection is read in turns, and at a rate. A client that sends faster gets no error: Holdfast stops reading
// for a while, so that the client's kernel stops it.

const (
	readsPerTurn  = 2  // of 64 kB each
	framesPerTurn = 64 // a frame may cost a system call to answer

	minFrameRate = 100 // frames of all kinds a second; ten times push.message_rate if that is more
)

// age is how old the keeper is, by a loop's clock.
func (k *Keeper) age(l *park.Loop) time.Duration { return l.Now().Sub(k.born) }

// spend counts one event that may occur rate times per second.
func (x *held) spend(rate int) { x.pace.Spend(rate, x.k.age(x.c.Loop())) }

// spendFrame counts a frame, or a read from a client that has nothing to send.
func (x *held) spendFrame() { x.spend(max(minFrameRate, 10*x.k.live().MessageRate)) }

// tooFast stops reading for a while if the client exceeds its rate. It reports whether it has.
func (x *held) tooFast() bool {
	over := x.pace.Lead(x.k.age(x.c.Loop())) - receive.Burst
	if over <= 0 {
		return false
	}
	x.k.stats.Throttled.Add(1)
	x.pause(over + 50*time.Millisecond)
	return true
}

// pause stops reading for d, or, if d is zero, until the loop's other connections have had their turn.
func (x *held) pause(d time.Duration) {
	x.paused = true
	loop, resume := x.c.Loop(), ifHeld(x, x.unpause)
	if d <= 0 {
		loop.Later(resume)
		return
	}
	time.AfterFunc(d, func() { loop.Post(resume) })
}

// unpause continues with bytes that were read already, and then with reading.
func (x *held) unpause() {
	if x.paused = false; x.form.resume(x) && !x.paused {
		x.read()
	}
}

// read takes what the client sends, one turn of it.
func (x *held) read() {
	if x.paused || x.k.settling.Load() {
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
			x.end(ending.ClientGone)
			return
		}
		x.pinged = false
		if !x.form.read(x, in[:n]) || x.paused {
			return
		}
	}
	x.pause(0)
}

// receive counts n more bytes that are stored for the client. It returns false beyond Options.InboundTotal: the
// connection must then be closed.
func (k *Keeper) receive(x *held, n int) bool {
	if k.received.Take(n) {
		return true
	}
	if total, due := k.received.Full(x.c.Loop().Now()); due {
		k.o.Log.Warn("connection closed: receive memory is full; see push.receive_total",
			"transport", x.form.transport(), "client", x.client(), "limit", k.received.Limit(), "total", total)
	}
	return false
}

// takes is receive for a complete message that now waits, or is sent to the app. It closes the connection if there is
// no room. The bytes that the message was read from are not counted any more; keepFrames counts what is left of them.
func (in *inbound) takes(n int) bool {
	if f := in.frames; f != nil {
		f.Uncount(in.x.k.received)
	}
	if in.x.k.receive(in.x, n) {
		return true
	}
	in.d.closeWith(in.x, 1013, tooMuch, ending.InboundFull)
	return false
}

const tooMuch = "too much is being received; try again later"
