package measure

import (
	"bytes"
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peer"
)

const sectionProxy = "Proxy"

// proxy sends requests through to the app behind.
func proxy(c *cell) error {
	second := c.length(2 * time.Second)
	upload := []byte(fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", c.server.Addr, 1<<20))
	upload = append(upload, bytes.Repeat([]byte("x"), 1<<20)...)

	if c.Peer != "no proxy" { // which has no memory that matters
		if err := c.manyLarge(); err != nil {
			return err
		}
	}
	for _, conns := range []int{1, 64, 512} {
		if err := c.requests(fmt.Sprintf("128 B, %d connections", conns), conns, get(c, "/s"), 128, second); err != nil {
			return err
		}
	}
	if err := c.requests("64 KB, 64 connections", 64, get(c, "/64k"), 64<<10, second); err != nil {
		return err
	}
	if err := c.requests("10 MB, 8 connections", 8, get(c, "/10m"), 10<<20, second); err != nil {
		return err
	}
	if err := c.requests("upload of 1 MB, 16 connections", 16, upload, 128, second); err != nil {
		return err
	}
	if c.Peer == "no proxy" {
		return nil
	}
	w := &crowd{c: c}
	if err := w.grow(held); err != nil {
		return err
	}
	if err := c.requests("128 B, 64 connections, 10,000 more idle", 64, get(c, "/s"), 128, second); err != nil {
		return err
	}
	return w.err
}

// requests keeps conns connections busy for a time, after a quarter of it to warm up.
func (c *cell) requests(row string, conns int, request []byte, size int64, span time.Duration) error {
	return c.requestsIn(sectionProxy, row, conns, request, size, span)
}

// requestsIn is requests for another section of the tables.
func (c *cell) requestsIn(section, row string, conns int, request []byte, size int64, span time.Duration) error {
	b, elapsed, cpu, err := c.measureBusy(conns, request, size, span)
	if err != nil {
		return fmt.Errorf("%s: %w", row, err)
	}
	took, answers := b.took, len(b.took)
	rate := float64(answers) / elapsed.Seconds()
	bytes := max(int64(len(request)), size)
	if bytes >= 1<<20 { // one answer more or less would be seen in the figures per request
		c.add(section, row+": throughput", "MB/s", rate*float64(bytes)/1e6)
		c.add(section, row+": CPU per MB", "µs", cpu.Seconds()*1e6/(float64(answers)*float64(bytes)/1e6))
		return nil
	}
	c.add(section, row+": requests per second", "/s", rate)
	c.add(section, row+": CPU per request", "µs", cpu.Seconds()*1e6/float64(answers))
	c.add(section, row+": p50", "ms", took.Quantile(0.5))
	c.add(section, row+": p99", "ms", took.Quantile(0.99))
	return nil
}

// manyLarge has 100 large answers in progress, whose clients have stopped reading after the first bytes.
func (c *cell) manyLarge() error {
	const conns, size = 100, 10 << 20
	c.Kind = peer.KeepAlive
	base, err := c.warm()
	if err != nil {
		return err
	}
	var all []*load.Requester
	var failed error
	done := 0
	for range conns {
		r := &load.Requester{}
		r.Done = func(r *load.Requester, _ time.Duration) []byte {
			if r.Response.Body != size {
				failed = fmt.Errorf("an answer of %d bytes", r.Response.Body)
			}
			done++
			r.Conn.Close()
			return nil
		}
		r.Failed = func(_ *load.Requester, err error) { failed = orEnded(err) }
		r.Pace = func(r *load.Requester, _ int) {
			if r.Index == 0 { // the first bytes
				r.Index = 1
				r.Conn.Pause(true)
			}
		}
		if err := r.Dial(c.loop, c.server.Addr, get(c, "/10m")); err != nil {
			return err
		}
		all = append(all, r)
	}
	peak := base.Private
	sample := func(span time.Duration, until func() bool) error {
		for begun := time.Now(); time.Since(begun) < span && !until() && failed == nil; {
			c.loop.Pass(100 * time.Millisecond)
			now, err := c.server.Memory()
			if err != nil {
				return err
			}
			peak = max(peak, now.Private)
		}
		return failed
	}
	if err := sample(c.length(2*time.Second), func() bool { return false }); err != nil {
		return err
	}
	for _, r := range all {
		r.Conn.Pause(false)
	}
	if err := sample(time.Minute, func() bool { return done == conns }); err != nil {
		return err
	}
	if done != conns {
		return fmt.Errorf("%d of %d large answers were complete after a minute", done, conns)
	}
	c.add(sectionProxy, "100 answers of 10 MB at once: growth of memory", "MB", float64(peak-base.Private)/1e6)
	return nil
}
