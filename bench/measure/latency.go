package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/report"
)

const (
	publishRate       = 1000 // a second
	latencyPublishers = 8
)

// latency publishes at a steady rate to one of many channels at a time, each with one subscriber. A publish that
// has to wait for a free connection counts from when it was due.
func latency(c *cell) error {
	c.Each = true
	w := &crowd{c: c}
	if err := w.grow(held); err != nil {
		return err
	}
	if _, err := c.settled(); err != nil { // what follows is the daily round, not the morning after
		return err
	}
	p, err := c.publishers(latencyPublishers)
	if err != nil {
		return err
	}
	total := int(c.length(6*time.Second)/time.Second) * publishRate
	warm := publishRate // of total, not counted
	due := make([]time.Time, total)
	took := make(report.Sample, 0, total)
	got := 0
	w.onMessage = func(_ *load.Subscriber, number uint32) {
		got++
		if int(number) >= warm && int(number) < total {
			took = append(took, float64(time.Since(due[number]).Nanoseconds())/1000)
		}
	}
	issued, sent := 0, 0
	next := func() []byte {
		k := sent
		sent++
		return c.server.PublishRequest(c.channel(k*7919%held), load.Payload(uint32(k), messageSize))
	}
	p.next = func(*load.Requester) []byte {
		if sent < issued {
			return next()
		}
		return nil
	}
	var before, cpu time.Duration
	err = c.loop.Tick(time.Second/publishRate, func(ticks int) {
		for ; ticks > 0 && issued < total; ticks-- {
			due[issued] = time.Now()
			if issued++; issued == warm {
				before = c.server.CPU()
			}
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
	all := c.loop.Run(60*time.Second, func() bool { return got >= total || w.err != nil || p.err != nil })
	cpu = c.server.CPU() - before
	c.loop.Tick(0, nil)
	if w.err != nil {
		return w.err
	}
	if p.err != nil {
		return p.err
	}
	if !all {
		return fmt.Errorf("%d of %d messages arrived", got, total)
	}
	section := "Publish to delivery, one of 10,000 channels, 1,000 publishes/s"
	row := c.Kind + ": "
	c.add(section, row+"p50", "µs", took.Quantile(0.5))
	c.add(section, row+"p99", "µs", took.Quantile(0.99))
	c.add(section, row+"p99.9", "µs", took.Quantile(0.999))
	c.add(section, row+"CPU per publish", "µs", cpu.Seconds()*1e6/float64(total-warm))
	return nil
}
