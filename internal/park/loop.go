package park

import (
	"runtime/debug"
	"sync"
	"time"
)

// scratchSize is the largest single read or write.
const scratchSize = 64 << 10

// Loop is one goroutine and the connections it owns.
type Loop struct {
	Index  int
	poller *Poller
	wheel  *wheel
	sys    sysLoop

	// Owned by the loop's goroutine.
	in, out []byte
	tick    uint32
	now     time.Time
	later   []task
	spare   []task
	running []func() // posted functions that have to run next
	room    []func() // the array that running is a part of; reused for posted when running is empty
	stopped bool

	mu     sync.Mutex // guards what follows
	posted []func()
	awake  bool // a wake-up is pending, or the loop is awake
	ended  bool
	endedc chan struct{} // closed when nothing runs on the loop any more

	start time.Time

	opening sync.Mutex // held while a listener's loop opens a connection here; see slots.each
}

func newLoop(p *Poller, index int) (*Loop, error) {
	l := &Loop{
		Index: index, poller: p, wheel: newWheel(p.slots), tick: 1,
		in: make([]byte, scratchSize), out: make([]byte, scratchSize), endedc: make(chan struct{}),
	}
	l.now = time.Now()
	l.start = l.now
	return l, l.sysOpen()
}

// Poller returns the poller that l belongs to.
func (l *Loop) Poller() *Poller { return l.poller }

// In returns the loop's scratch buffer for reading: 64 kB, valid until the handler returns.
func (l *Loop) In() []byte { return l.in }

// Out returns a second scratch buffer, for bytes to write, under the same rule.
func (l *Loop) Out() []byte { return l.out }

// Now returns the time at which the current round of events began.
func (l *Loop) Now() time.Time { return l.now }

// Post runs f on the loop, in the order of the calls, soon. Any goroutine may call it. It reports
// false, and drops f, after the loop has ended.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.postLocked(f)
	return true
}

// Do posts f, which calls done when what it has begun is done. The function that it returns waits for that, or for the
// loop's end, after which nothing of f runs any more. It is not for a loop's goroutine.
func (l *Loop) Do(f func(done func())) (wait func()) {
	donec := make(chan struct{})
	if !l.Post(func() { f(func() { close(donec) }) }) {
		return func() {}
	}
	return func() {
		select {
		case <-donec:
		case <-l.endedc:
		}
	}
}

func (l *Loop) postLocked(f func()) {
	l.posted = append(l.posted, f)
	if !l.awake {
		l.awake = true
		l.sysWake() // under the lock: the descriptor it writes to is closed after ended is set
	}
}

// Later runs f on the loop after the events that are ready now. Only the loop itself may call it. Long work uses it to
// run in slices.
func (l *Loop) Later(f func()) { l.later = append(l.later, task{f: f}) }

// task is a function that runs later, or a connection that was put off.
type task struct {
	f   func() // nil: the connection
	ref Ref
	h   Handler
}

// PutOff makes h the handler of c, and gives it a Turn when Later would run a function, if c is open and h is its handler
// then.
func (l *Loop) PutOff(c *Conn, h Handler) {
	c.Hold(h)
	l.later = append(l.later, task{ref: c.Ref(), h: h})
}

func (l *Loop) do(t *task) {
	if t.f != nil {
		l.call(t.f)
	} else if c, ok := t.ref.Conn(); ok && c.handler == t.h {
		l.dispatch(c, Turn)
	}
}

// Each calls f for every open connection of the loop, from the loop.
func (l *Loop) Each(f func(*Conn)) { l.poller.slots.each(l, f) }

// visitSlice is how many connections Visit calls f for in one turn of the loop: with a write to each, half a
// millisecond.
const visitSlice = 64

// Visit calls f for every connection of a list that is still open then, in slices: the loop's other connections have
// their turns in between. Then it calls done. Only the loop itself may call it.
func (l *Loop) Visit(list []Ref, f func(*Conn), done func()) {
	n := 0
	defer func() { // also after a panic of f, so that the rest of the list is visited
		if rest := list[n:]; len(rest) > 0 {
			l.Later(func() { l.Visit(rest, f, done) })
		} else {
			done()
		}
	}()
	for n < min(len(list), visitSlice) {
		n++
		if c, ok := list[n-1].Conn(); ok {
			f(c)
		}
	}
}

// VisitAll is Visit of every open connection of the loop for which choose returns true; nil: of all.
func (l *Loop) VisitAll(choose func(*Conn) bool, f func(*Conn), done func()) {
	var list []Ref
	l.Each(func(c *Conn) {
		if choose == nil || choose(c) {
			list = append(list, c.Ref())
		}
	})
	l.Visit(list, f, done)
}

// Dial begins a connection to address ("tcp" with an IP address, or "unix"). h gets Writable or HangUp when there is a
// result, which DialError returns.
func (l *Loop) Dial(network, address string, h Handler) (*Conn, error) {
	return l.sysDial(network, address, h)
}

// run is the goroutine of the loop.
func (l *Loop) run() {
	l.sysRun()
	l.mu.Lock() // excludes workers that release a connection meanwhile
	l.ended = true
	l.posted = nil
	l.Each(func(c *Conn) {
		if s, ok := c.handler.(*Stream); ok && !s.released { // a worker still uses it, and closes it at Release
			c.sysBreak()
			s.Ready(c, HangUp)
			return
		}
		c.Close()
	})
	l.mu.Unlock()
	close(l.endedc)
	l.sysClose()
}

func (l *Loop) stop() { l.stopped = true }

// clock is called once per round of events. Tick n begins n-1 tick lengths after the start.
func (l *Loop) clock() {
	l.now = time.Now()
	l.tick = uint32(l.now.Sub(l.start)/tickLength) + 1
}

// dispatch gives an event to the connection's handler. A panic closes that connection; the process continues.
func (l *Loop) dispatch(c *Conn, ev Event) {
	ref := c.Ref()
	defer func() {
		if r := recover(); r != nil {
			l.poller.panics.Add(1)
			l.poller.opts.Log.Error("panic in a connection's handler", "panic", r, "stack", string(debug.Stack()))
			if c, ok := ref.Conn(); ok {
				c.Abort()
			}
		}
	}()
	if ev&Writable != 0 && c.state&connLayered != 0 {
		flushLayer(c)
	}
	if h := c.handler; h != nil {
		h.Ready(c, ev)
	}
}

// call runs a function that was posted or put off. After a panic in it, the loop continues with the next one.
func (l *Loop) call(f func()) {
	defer func() {
		if r := recover(); r != nil {
			l.poller.panics.Add(1)
			l.poller.opts.Log.Error("panic in a function posted to a loop", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	f()
}

func (l *Loop) expired(c *Conn) { l.dispatch(c, Expired) }

// postedPerTurn is how many posted functions run in one turn: a thousand clients may reconnect at once. maxRoom is the
// capacity that is kept for later ones.
const (
	postedPerTurn = 64
	maxRoom       = 4096
)

// runPosted runs functions that were posted or put off, then expires deadlines. It reports whether more are waiting.
func (l *Loop) runPosted() (more bool) {
	if len(l.later) > 0 {
		run := l.later
		l.later = l.spare[:0]
		for i := range run {
			l.do(&run[i])
			run[i] = task{}
		}
		l.spare = run[:0]
	}
	if len(l.running) == 0 {
		l.mu.Lock()
		l.running, l.posted = l.posted, l.room[:0]
		l.awake = len(l.running) > 0
		l.room = l.running
		l.mu.Unlock()
	}
	n := min(len(l.running), postedPerTurn)
	for i, f := range l.running[:n] {
		l.running[i] = nil
		l.call(f)
	}
	if l.running = l.running[n:]; n > 0 && len(l.running) == 0 && cap(l.room) > maxRoom {
		l.room = nil
	}
	due := l.wheel.advance(l.tick, l.expired)
	return due || n > 0 || len(l.later) > 0
}

// untilExpiry returns how long the loop may sleep; less than zero is without limit.
func (l *Loop) untilExpiry() time.Duration {
	if l.wheel.nearest == 0 {
		return -1
	}
	return max(time.Until(l.start.Add(time.Duration(l.wheel.nearest-1)*tickLength)), 0)
}
