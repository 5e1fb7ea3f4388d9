package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/report"
)

const sectionTail = "Tail: 128 B proxied, saturated"

// tail keeps few and many connections busy without a pause and looks at the slowest answers.
func tail(c *cell) error {
	for _, conns := range []int{8, 32, 64, 256} {
		if err := c.saturate(fmt.Sprintf("%d connections", conns), conns); err != nil {
			return err
		}
	}
	return nil
}

// saturate adds the figures of the slowest answers on so many connections.
func (c *cell) saturate(row string, conns int) error {
	b, elapsed, cpu, err := c.measureBusy(conns, get(c, "/s"), 128, c.length(8*time.Second))
	if err != nil {
		return fmt.Errorf("%s: %w", row, err)
	}
	n := float64(len(b.took))
	c.add(sectionTail, row+": requests per second", "/s", n/elapsed.Seconds())
	c.add(sectionTail, row+": CPU per request", "µs", cpu.Seconds()*1e6/n)
	c.addTail(sectionTail, row, b.took)
	return nil
}

func (c *cell) addTail(section, row string, took report.Sample) {
	c.add(section, row+": p50", "ms", took.Quantile(0.5))
	c.add(section, row+": p99", "ms", took.Quantile(0.99))
	c.add(section, row+": p99.9", "ms", took.Quantile(0.999))
	c.add(section, row+": longest", "ms", took.Max())
}

// crossRate is the number of publishes a second of cross.
const crossRate = 200

// cross publishes at a steady rate to one subscriber while other connections keep the same server busy as a proxy.
func cross(c *cell) error {
	w := &crowd{c: c}
	if err := w.grow(1); err != nil {
		return err
	}
	p, err := c.publishers(latencyPublishers)
	if err != nil {
		return err
	}
	for _, conns := range []int{8, 64} {
		if err := c.beside(w, p, conns); err != nil {
			return fmt.Errorf("beside %d connections: %w", conns, err)
		}
	}
	return nil
}

// beside measures what is published while so many connections are busy. A publish that has to wait for a free
// connection counts from when it was due.
func (c *cell) beside(w *crowd, p *publishers, conns int) error {
	b, err := c.keepBusy(conns, get(c, "/s"), 128)
	if err != nil {
		return err
	}
	c.loop.Run(time.Second, b.broken)
	b.counting = true
	total := int(c.length(8*time.Second)/time.Second) * crossRate
	due := make([]time.Time, total)
	took := make(report.Sample, 0, total)
	w.onMessage = func(_ *load.Subscriber, number uint32) {
		took = append(took, time.Since(due[number]).Seconds()*1000)
	}
	issued, sent := 0, 0
	next := func() []byte {
		sent++
		return c.server.PublishRequest(c.channel(0), load.Payload(uint32(sent-1), messageSize))
	}
	p.next = func(*load.Requester) []byte {
		if sent < issued {
			return next()
		}
		return nil
	}
	err = c.loop.Tick(time.Second/crossRate, func(ticks int) {
		for ; ticks > 0 && issued < total; ticks-- {
			due[issued] = time.Now()
			issued++
		}
		for _, r := range p.all {
			if sent < issued && !r.Busy() {
				r.Send(next())
			}
		}
	})
	if err != nil {
		return err
	}
	done := func() bool { return len(took) >= total || w.err != nil || p.err != nil || b.failed != nil }
	all := c.loop.Run(60*time.Second, done)
	c.loop.Tick(0, nil)
	switch {
	case w.err != nil:
		return w.err
	case p.err != nil:
		return p.err
	case !all:
		return fmt.Errorf("%d of %d messages arrived", len(took), total)
	}
	if err := b.end(c); err != nil {
		return err
	}
	section := fmt.Sprintf("Cross load: %d publishes/s to one subscriber, proxy saturated", crossRate)
	c.addTail(section, fmt.Sprintf("%s, beside %d connections: publish to delivery", c.Kind, conns), took)
	c.add(section, fmt.Sprintf("%s, beside %d connections: p99 of the proxied requests", c.Kind, conns), "ms", b.took.Quantile(0.99))
	return nil
}
