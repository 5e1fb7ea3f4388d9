package measure

import (
	"fmt"
	"time"

	"holdfast/bench/load"
)

// churn makes a connection, one request, and hangs up, over and over, from 64 clients at once.
func churn(c *cell) error {
	const clients = 64
	span := c.length(3 * time.Second)
	run := func() (count int, elapsed, cpu time.Duration, err error) {
		var failed error
		stop, active := false, clients
		var dial func()
		dial = func() {
			if stop || failed != nil {
				active--
				return
			}
			r := &load.Requester{}
			r.Done = func(r *load.Requester, _ time.Duration) []byte {
				if r.Response.Status != 200 {
					failed = fmt.Errorf("answer %d", r.Response.Status)
				}
				count++
				r.Conn.Close()
				dial()
				return nil
			}
			r.Failed = func(_ *load.Requester, err error) { failed = orEnded(err) }
			if err := r.Dial(c.loop, c.server.Addr, get(c, "/s")); err != nil {
				failed = err
			}
		}
		before, begun := c.server.CPU(), time.Now()
		for range clients {
			dial()
		}
		c.loop.Run(span, func() bool { return failed != nil })
		elapsed, cpu = time.Since(begun), c.server.CPU()-before
		stop = true
		n := count
		c.loop.Run(5*time.Second, func() bool { return active == 0 || failed != nil })
		return n, elapsed, cpu, failed
	}
	if _, _, _, err := run(); err != nil { // to warm up
		return err
	}
	base, err := c.settled()
	if err != nil {
		return err
	}
	count, elapsed, cpu, err := run()
	if err != nil {
		return err
	}
	after, err := c.settled()
	if err != nil {
		return err
	}
	const section = "Churn: connect, one request, close; 64 clients"
	c.add(section, "connections per second", "/s", float64(count)/elapsed.Seconds())
	c.add(section, "CPU per connection", "µs", cpu.Seconds()*1e6/float64(count))
	c.add(section, "memory left behind, per connection", "B", float64(after.Private-base.Private)/float64(count))
	return nil
}
