package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/report"
)

// busy is a number of connections that each send the next request as soon as the last is answered. So the longest
// answer is also the longest time that any of them made no progress.
type busy struct {
	took     report.Sample // milliseconds of each answer, while counting
	counting bool
	stopping bool
	active   int
	failed   error
}

// keepBusy begins it. Every answer must be a 200 of size bytes.
func (c *cell) keepBusy(conns int, request []byte, size int64) (*busy, error) {
	b := &busy{took: make(report.Sample, 0, 1<<18), active: conns}
	for i := range conns {
		r := &load.Requester{Index: i}
		r.Done = func(r *load.Requester, t time.Duration) []byte {
			if r.Response.Status != 200 || r.Response.Body != size {
				b.failed = fmt.Errorf("answer %d with %d bytes", r.Response.Status, r.Response.Body)
				return nil
			}
			if b.counting {
				b.took = append(b.took, t.Seconds()*1000)
			}
			if b.stopping {
				r.Conn.Close()
				b.active--
				return nil
			}
			return request
		}
		r.Failed = func(_ *load.Requester, err error) { b.failed = orEnded(err) }
		if err := r.Dial(c.loop, c.server.Addr, request); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *busy) broken() bool { return b.failed != nil }

// end lets each connection have its last answer, and reports what went wrong.
func (b *busy) end(c *cell) error {
	b.counting, b.stopping = false, true
	ended := c.loop.Run(30*time.Second, func() bool { return b.active == 0 || b.failed != nil })
	if b.failed != nil {
		return b.failed
	}
	if !ended || len(b.took) == 0 {
		return fmt.Errorf("%d answers, %d still awaited", len(b.took), b.active)
	}
	return nil
}

// measureBusy keeps so many connections busy for a time, after a quarter of it to warm up.
func (c *cell) measureBusy(conns int, request []byte, size int64, span time.Duration) (b *busy, elapsed, cpu time.Duration, err error) {
	if b, err = c.keepBusy(conns, request, size); err != nil {
		return nil, 0, 0, err
	}
	c.loop.Run(span/4, b.broken)
	before, begun := c.server.CPU(), time.Now()
	b.counting = true
	c.loop.Run(span, b.broken)
	elapsed, cpu = time.Since(begun), c.server.CPU()-before
	return b, elapsed, cpu, b.end(c)
}
