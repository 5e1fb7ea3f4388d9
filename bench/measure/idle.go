package measure

import (
	"fmt"
	"time"

	"holdfast/bench/peer"
)

const (
	sectionIdle  = "Idle: private memory per connection"
	sectionPss   = "Idle: the same with shared pages (PSS)"
	sectionWhole = "Idle: private memory of the whole server"
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
			c.add(sectionWhole, row, "MB", float64(now.Private)/1e6)
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

// warm lets the server allocate what it allocates once, and returns its memory without connections. There are enough
// of them for a server that tidies up after a crowd to do it here too.
func (c *cell) warm() (peer.Memory, error) {
	w := &crowd{c: c}
	if err := w.grow(1200); err != nil {
		return peer.Memory{}, err
	}
	w.close()
	return c.settled()
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
