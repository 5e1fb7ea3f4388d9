package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peer"
	"holdfast/bench/report"
)

const (
	messageSize = 128        // bytes
	burst       = 100        // messages
	slowBurst   = 20         // messages, while some do not read
	slowReaders = held / 100 // who do not
)

// fanout publishes to a crowd that shares one channel: single messages, then bursts, then both again while a
// hundredth of the crowd does not read.
func fanout(c *cell) error {
	f := &fan{c: c, crowd: &crowd{c: c}}
	if err := f.crowd.grow(held); err != nil {
		return err
	}
	if _, err := c.settled(); err != nil {
		return err
	}
	var err error
	if f.publishers, err = c.publishers(10); err != nil {
		return err
	}
	singles := 12
	if c.Quick {
		singles = 6
	}
	if c.Kind == peer.LongPoll {
		singles /= 2 // sending all polls again takes its time
	}
	section := "Fan-out to 10,000: " + c.Kind
	if err := f.singles(section, singles); err != nil {
		return err
	}
	if c.Kind == peer.LongPoll {
		return nil // a poll has one message; its burst is the next poll's affair
	}
	if err := f.burst(section, burst); err != nil {
		return err
	}
	slow := &crowd{c: c}
	if err := slow.grow(slowReaders, load.SmallWindow); err != nil {
		return err
	}
	for _, s := range slow.subs {
		s.Conn.Pause(true)
	}
	section += ", 1% more that do not read"
	if err := f.singles(section, singles/2); err != nil {
		return err
	}
	return f.burst(section, slowBurst)
}

type fan struct {
	c          *cell
	crowd      *crowd
	publishers *publishers
	number     uint32 // of the last message
}

func (f *fan) request() []byte {
	f.number++
	return f.c.server.PublishRequest("public.a", load.Payload(f.number, messageSize))
}

func (f *fan) err() error {
	if f.crowd.err != nil {
		return f.crowd.err
	}
	return f.publishers.err
}

// singles publishes one message at a time and waits until everybody has it.
func (f *fan) singles(section string, n int) error {
	first, median, p99, last := report.Sample{}, report.Sample{}, report.Sample{}, report.Sample{}
	arrived := make(report.Sample, 0, held)
	var begun time.Time
	f.crowd.onMessage = func(_ *load.Subscriber, number uint32) {
		if number == f.number {
			arrived = append(arrived, time.Since(begun).Seconds()*1000)
		}
	}
	f.crowd.onAnswer = nil
	var cpu time.Duration
	for i := range n + 2 { // the first two warm up
		arrived = arrived[:0]
		answered := f.publishers.done + 1
		request := f.request()
		before := f.c.server.CPU()
		begun = time.Now()
		f.publishers.all[0].Send(request)
		all := f.c.loop.Run(15*time.Second, func() bool {
			return len(arrived) >= held && f.publishers.done >= answered || f.err() != nil
		})
		if err := f.err(); err != nil {
			return err
		}
		if !all {
			return fmt.Errorf("a message reached %d of %d, and the publisher had %d answers of %d", len(arrived), held, f.publishers.done, answered)
		}
		if i >= 2 {
			cpu += f.c.server.CPU() - before
			first = append(first, arrived.Min())
			median = append(median, arrived.Quantile(0.5))
			p99 = append(p99, arrived.Quantile(0.99))
			last = append(last, arrived.Max())
		}
		if err := f.pollAgain(); err != nil {
			return err
		}
		f.c.loop.Pass(30 * time.Millisecond)
	}
	f.c.add(section, "one message: first receiver", "ms", first.Median())
	f.c.add(section, "one message: median receiver", "ms", median.Median())
	f.c.add(section, "one message: p99 receiver", "ms", p99.Median())
	f.c.add(section, "one message: last receiver", "ms", last.Median())
	f.c.add(section, "one message: CPU per delivery", "µs", cpu.Seconds()*1e6/float64(n*held))
	return nil
}

// pollAgain sends the next polls, outside of what is measured.
func (f *fan) pollAgain() error {
	if f.c.Kind != peer.LongPoll {
		return nil
	}
	for i, s := range f.crowd.subs {
		s.Conn.Send(s.Request)
		if i%pending == 0 {
			f.c.loop.Pass(8 * time.Millisecond)
		}
	}
	f.c.quiet()
	return f.err()
}

// burst publishes n messages over ten connections, as fast as the server takes them.
func (f *fan) burst(section string, n int) error {
	got, left := 0, n
	var last time.Time
	f.crowd.onMessage = func(*load.Subscriber, uint32) {
		if got++; got == n*held {
			last = time.Now()
		}
	}
	f.publishers.next = func(*load.Requester) []byte {
		if left == 0 {
			return nil
		}
		left--
		return f.request()
	}
	before, begun := f.c.server.CPU(), time.Now()
	for _, r := range f.publishers.all {
		left--
		r.Send(f.request())
	}
	all := f.c.loop.Run(60*time.Second, func() bool { return got >= n*held || f.err() != nil })
	f.publishers.next = nil
	if err := f.err(); err != nil {
		return err
	}
	if !all {
		return fmt.Errorf("%d of %d deliveries of a burst arrived", got, n*held)
	}
	row := fmt.Sprintf("burst of %d: ", n)
	f.c.add(section, row+"deliveries per second", "/s", float64(n*held)/last.Sub(begun).Seconds())
	f.c.add(section, row+"CPU per delivery", "µs", (f.c.server.CPU()-before).Seconds()*1e6/float64(n*held))
	return nil
}
