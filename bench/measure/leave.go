package measure

import "time"

const sectionLeave = "10,000 connections leave at once"

// leave holds connections, closes them all, and looks at what stays behind.
func leave(c *cell) error {
	base, err := c.warm()
	if err != nil {
		return err
	}
	w := &crowd{c: c}
	if err := w.grow(held); err != nil {
		return err
	}
	full, err := c.settled()
	if err != nil {
		return err
	}
	after := full
	before := c.server.CPU()
	w.close()
	peak := full.Private
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		step := time.Second
		if time.Since(begin) < 2*time.Second {
			step = 20 * time.Millisecond
		}
		c.loop.Pass(step)
		now, err := c.server.Memory()
		if err != nil {
			return err
		}
		peak = max(peak, now.Private)
		after = now
	}
	row := c.kindRow()
	mb := func(n int64) float64 { return float64(n) / 1e6 }
	c.add(sectionLeave, row+": before they came", "MB", mb(base.Private))
	c.add(sectionLeave, row+": while they were held", "MB", mb(full.Private))
	c.add(sectionLeave, row+": peak of the minute after they left", "MB", mb(peak))
	c.add(sectionLeave, row+": 60 s later", "MB", mb(after.Private))
	c.add(sectionLeave, row+": 60 s later, over before", "%", 100*float64(after.Private-base.Private)/float64(base.Private))
	c.add(sectionLeave, row+": the same without program text", "%", 100*float64(after.Dirty-base.Dirty)/float64(base.Dirty))
	c.add(sectionLeave, row+": CPU of that minute", "ms", (c.server.CPU()-before).Seconds()*1000)
	return nil
}
