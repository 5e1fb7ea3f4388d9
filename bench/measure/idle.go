package measure

import (
	"fmt"
	"time"

	"holdfast/bench/peer"
)

const (
	sectionIdle  = "Idle: private memory per connection"
	sectionPss   = "Idle: the same with shared pages (PSS)"
	sectionWhole = "Idle: memory of the whole server"
	sectionGo    = "Idle: goroutines"
	sectionCPU   = "Idle: CPU with heartbeats every 10 s"
)

func (c *cell) kindRow() string {
	switch {
	case c.Kind == peer.KeepAlive:
		return c.Kind
	case c.Each:
		return c.Kind + ", a channel each"
	}
	return c.Kind + ", one channel"
}

// idle holds more and more connections, and looks at what the server's memory has grown by since it had none.
func idle(c *cell) error {
	base, err := c.warm()
	if err != nil {
		return err
	}
	w := &crowd{c: c}
	for _, n := range c.Sizes {
		if err := w.grow(n); err != nil {
			return err
		}
		now, err := c.settled()
		if err != nil {
			return err
		}
		row := c.kindRow() + ", " + thousands(n)
		c.add(sectionIdle, row, "B", float64(now.Private-base.Private)/float64(n))
		c.add(sectionPss, row, "B", float64(now.Pss-base.Pss)/float64(n))
		if n == held && len(c.Sizes) == 1 { // nothing was set to fit more than these
			c.add(sectionWhole, row+": private", "MB", float64(now.Private)/1e6)
			c.add(sectionWhole, row+": private, without program text", "MB", float64(now.Dirty)/1e6)
			c.add(sectionWhole, row+": PSS", "MB", float64(now.Pss)/1e6)
		}
		if n == held && !c.Each {
			if count, ok := c.server.Goroutines(); ok {
				c.add(sectionGo, row, "", float64(count))
			}
			if len(c.Sizes) == 1 {
				c.idleCPU(row)
			}
		}
		if err := w.err; err != nil || c.loop.Open() != n {
			return fmt.Errorf("%d of %d connections are left: %v", c.loop.Open(), n, err)
		}
	}
	return nil
}

// idleCPU measures over two heartbeats of every connection.
func (c *cell) idleCPU(row string) {
	const span = 20 * time.Second
	before := c.server.CPU()
	c.loop.Pass(span)
	used := c.server.CPU() - before
	c.add(sectionCPU, row, "ms/min", used.Seconds()*1000*float64(time.Minute/span))
}

// warm lets the server allocate what it allocates once, and returns its memory without connections: the less of
// what it has after a few connections, as some never give back what a crowd has taken, and after a crowd, as
// some only then give back what they took for a few.
func (c *cell) warm() (peer.Memory, error) {
	var least peer.Memory
	for _, n := range []int{100, 1200} {
		w := &crowd{c: c}
		if err := w.grow(n); err != nil {
			return least, err
		}
		w.close()
		now, err := c.settled()
		if err != nil {
			return least, err
		}
		if least.Private == 0 || now.Private < least.Private {
			least = now
		}
	}
	return least, nil
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
