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
	if err := w.grow(held); err != nil {
		return err
	}
	return c.amid(w, p)
}

const (
	amidRate       = 1000 // proxied requests a second
	amidConns      = 16
	amidBroadcasts = 10 // messages a second to everybody
)

// amid sends small requests at a steady rate while messages go to 10,000. The requests have a thread of their own: that of
// the receivers is busy with each message for a while.
func (c *cell) amid(w *crowd, p *publishers) error {
	if _, err := c.settled(); err != nil {
		return err
	}
	type result struct {
		took report.Sample
		err  error
	}
	resultc := make(chan result, 1)
	go func() {
		took, err := c.steady(int(c.length(8*time.Second)/time.Second) * amidRate)
		resultc <- result{took, err}
	}()
	messages, got := 0, 0
	w.onMessage = func(*load.Subscriber, uint32) { got++ }
	p.next = nil
	err := c.loop.Tick(time.Second/amidBroadcasts, func(int) {
		if r := p.all[messages%len(p.all)]; !r.Busy() {
			r.Send(c.server.PublishRequest(c.channel(0), load.Payload(uint32(messages), messageSize)))
			messages++
		}
	})
	if err != nil {
		return err
	}
	var r result
	ended := false
	c.loop.Run(90*time.Second, func() bool {
		select {
		case r = <-resultc:
			ended = true
		default:
		}
		return ended || w.err != nil || p.err != nil
	})
	c.loop.Tick(0, nil)
	all := c.loop.Run(30*time.Second, func() bool { return got >= messages*held || w.err != nil || p.err != nil })
	switch {
	case w.err != nil:
		return w.err
	case p.err != nil:
		return p.err
	case r.err != nil:
		return r.err
	case !ended || !all:
		return fmt.Errorf("%d of %d deliveries of %d messages", got, messages*held, messages)
	}
	section := fmt.Sprintf("Cross load: %d requests/s, %d messages/s to 10,000", amidRate, amidBroadcasts)
	c.addTail(section, c.Kind+": proxied request", r.took)
	return nil
}

// steady sends so many small requests at amidRate, and returns how long they took in milliseconds. One that has to wait
// for a free connection counts from when it was due.
func (c *cell) steady(total int) (took report.Sample, err error) {
	loop, err := load.NewLoop()
	if err != nil {
		return nil, err
	}
	defer loop.Close()
	due := make([]time.Time, total)
	issued, sent := 0, 0
	var of [amidConns]int // the request that each has sent
	var failed error
	request := get(c, "/s")
	next := func(r *load.Requester) []byte {
		if sent == issued {
			return nil
		}
		of[r.Index] = sent
		sent++
		return request
	}
	var all []*load.Requester
	for i := range amidConns {
		r := &load.Requester{Index: i}
		r.Done = func(r *load.Requester, _ time.Duration) []byte {
			if r.Response.Status != 200 {
				failed = fmt.Errorf("answer %d", r.Response.Status)
			}
			took = append(took, time.Since(due[of[r.Index]]).Seconds()*1000)
			return next(r)
		}
		r.Failed = func(_ *load.Requester, err error) { failed = orEnded(err) }
		if err := r.Dial(loop, c.server.Addr, nil); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	loop.Pass(100 * time.Millisecond)
	err = loop.Tick(time.Second/amidRate, func(ticks int) {
		for ; ticks > 0 && issued < total; ticks-- {
			due[issued] = time.Now()
			issued++
		}
		for _, r := range all {
			if !r.Busy() {
				if b := next(r); b != nil {
					r.Send(b)
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if !loop.Run(60*time.Second, func() bool { return len(took) == total || failed != nil }) && failed == nil {
		failed = fmt.Errorf("%d of %d answers", len(took), total)
	}
	return took, failed
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
