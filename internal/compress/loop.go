package compress

import (
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/park"
	"holdfast/internal/throttle"
)

const (
	pieceSize  = 32 << 10             // bytes that are compressed at once, if there are so many
	inlineSize = 32 << 10             // bytes that a loop compresses itself in one round of events
	pauseTime  = 5 * time.Millisecond // how long a source pauses before what it has sent goes to the client
)

// Pool is what the responses of all loops share.
type Pool struct {
	Stats
	max     int64
	held    atomic.Int64 // compressors that belong to responses for longer than a piece
	scarce  throttle.Throttle
	workers *park.Pool
	log     *slog.Logger
}

// Stats are counts for metrics.
type Stats struct {
	Responses [http1.Zstd + 1]atomic.Int64 // compressed ones, by coding
	In, Out   atomic.Int64                 // bytes of their bodies, before and after
	Plain     atomic.Int64                 // responses that stay as they are: short ones, and those that would become longer
	Fallback  atomic.Int64                 // responses in gzip, or as they are, for want of a compressor
}

// Encoded returns how many responses were compressed, by the name of the coding.
func (s *Stats) Encoded() map[string]int64 {
	counts := map[string]int64{}
	for c := http1.Gzip; c <= http1.Zstd; c++ {
		counts[c.String()] = s.Responses[c].Load()
	}
	return counts
}

// maxQueued is how many pieces may wait for a worker. Beyond that, loops compress themselves.
const maxQueued = 1024

const defaultEncoders = 64

// NewPool returns a pool with as many workers as there are loops. At most max compressors belong to responses for longer
// than a piece; 0: 64. Call it before the poller serves.
func NewPool(p *park.Poller, max int64, log *slog.Logger) *Pool {
	if max == 0 {
		max = defaultEncoders
	}
	return &Pool{max: max, workers: p.NewPool(len(p.Loops()), maxQueued), log: log}
}

// Held returns how many compressors belong to responses.
func (p *Pool) Held() int64 { return p.held.Load() }

// take reports whether there is room for one more compressor, and counts it.
func (p *Pool) take(now time.Time) bool {
	if p.held.Add(1) <= p.max {
		return true
	}
	p.held.Add(-1)
	p.Fallback.Add(1)
	if total, due := p.scarce.Due(now); due {
		p.log.Warn("compressors in use; responses fall back to gzip in separate pieces", "limit", p.max, "total", total, "key", "buffers.compressors")
	}
	return false
}

// give counts one compressor less.
func (p *Pool) give() { p.held.Add(-1) }

// isScarce reports whether a response that waits should not keep its compressor.
func (p *Pool) isScarce() bool { return p.held.Load() > p.max/2 }

// Loop is what the responses of an event loop share.
type Loop struct {
	*Pool
	now  func() time.Time       // when the round of events began
	post func(func()) bool      // runs a function on the loop; false: the loop has ended
	work func(func()) (ok bool) // runs a function on a worker; false: none is free

	round   time.Time
	spent   int // bytes in the round
	scratch []byte
	answer  http1.Answer // of the stored response in hand

	waiting []*Response // with a piece that is not compressed yet
	timer   *time.Timer
	armed   bool
}

// Loop returns what the responses of l share.
func (p *Pool) Loop(l *park.Loop) *Loop {
	return &Loop{Pool: p, now: l.Now, post: l.Post, work: p.workers.Go}
}

// takes reports whether the loop may compress n bytes itself in this round.
func (l *Loop) takes(n int) bool {
	if now := l.now(); now != l.round {
		l.round, l.spent = now, 0
	}
	if l.spent+n > inlineSize {
		return false
	}
	l.spent += n
	return true
}

// await has a response flushed if what it has gathered is not enough for a piece by then.
func (l *Loop) await(r *Response) {
	if r.waits {
		return
	}
	r.waits, r.since = true, l.now()
	l.waiting = append(l.waiting, r)
	if l.armed {
		return
	}
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(pauseTime, func() { l.post(l.flush) })
	} else {
		l.timer.Reset(pauseTime)
	}
}

// flush compresses what has waited for most of a pause. The rest waits for another one.
func (l *Loop) flush() {
	l.armed = false
	run := l.waiting
	l.waiting = nil
	for _, r := range run {
		r.waits = false
		switch {
		case r.closed || r.busy || len(r.in) == 0 && r.head == nil:
		case l.now().Sub(r.since) < pauseTime/2:
			l.await(r)
		default:
			r.client.Run(func() { r.next(true) })
		}
	}
}
