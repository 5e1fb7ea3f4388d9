package receive

import (
	"sync"
	"time"

	"holdfast/internal/wsframe"
)

// leastSpeed is how many bytes of a message that has begun have to arrive in a second, after the limit for a short one.
const leastSpeed = 1 << 10

// Frames is the received part of a WebSocket's frame or message that is not complete; it exists only while there is one.
type Frames struct {
	wsframe.Parser
	Since   time.Time   // when the message began
	counted int         // bytes that are counted in a Memory
	timer   *time.Timer // checks whether the rest arrives in time; nil: not started
}

var framesPool = sync.Pool{New: func() any { return new(Frames) }} // mostly a frame is complete

// NewFrames returns Frames without bytes. whole and deflate are as in wsframe.Parser.
func NewFrames(whole, deflate bool) *Frames {
	f := framesPool.Get().(*Frames)
	f.Whole, f.Deflate = whole, deflate
	return f
}

// Reuse gives back Frames that nothing was stored in.
func (f *Frames) Reuse() {
	*f = Frames{}
	framesPool.Put(f)
}

// Grown returns how many bytes are not counted yet, and Counted says that all are.
func (f *Frames) Grown() int { return f.Size() - f.counted }
func (f *Frames) Counted()   { f.counted = f.Size() }

// Uncount takes the bytes off m.
func (f *Frames) Uncount(m *Memory) {
	m.Give(f.counted)
	f.counted = 0
}

// Release releases what is stored.
func (f *Frames) Release(m *Memory) {
	f.Uncount(m)
	if f.timer != nil {
		f.timer.Stop()
	}
}

// Watched reports whether Watch was called.
func (f *Frames) Watched() bool { return f.timer != nil }

// Watch calls check after t, on another goroutine. Zero: never.
func (f *Frames) Watch(t time.Duration, check func()) {
	if t > 0 {
		f.timer = time.AfterFunc(t, check)
	}
}

// Left returns how much of the time for the message is left; limit is that for a short one.
func (f *Frames) Left(limit time.Duration, now time.Time) time.Duration {
	return limit + time.Duration(f.Received())*time.Second/leastSpeed - now.Sub(f.Since)
}
