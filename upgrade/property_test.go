package upgrade_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// TestEveryMessageFindsItsAddressee: clients of all kinds come, change channels and leave at random, with
// FIN and RST, while numbered messages are published to every channel. Each message says whose it is:
// nobody may see another's, and what one client sees of a channel is without a gap, in order and without
// repetition from its first to its last, over reconnects with the last id.
func TestEveryMessageFindsItsAddressee(t *testing.T) {
	const channels, clients = 20, 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := start(t)
	stop := make(chan struct{})
	var published [channels]atomic.Int64
	var publisher, readers sync.WaitGroup
	for p := range 2 {
		publisher.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(p)))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				c := r.IntN(channels/2)*2 + p // one publisher a channel, so that numbers are in order
				w.publish(t, fmt.Sprintf("c%d/%d", c, published[c].Add(1)), fmt.Sprint("public.c", c))
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	var seen atomic.Int64
	for n := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(100+n)))
		kind := kinds[n%len(kinds)]
		readers.Go(func() {
			for range 4 { // lives
				mine := map[int]int64{} // channel: last number
				var query []string
				for range 1 + r.IntN(4) {
					c := r.IntN(channels)
					if _, ok := mine[c]; !ok {
						mine[c] = 0
						query = append(query, fmt.Sprint("channel=public.c", c))
					}
				}
				last := ""
				for range 1 + r.IntN(3) { // connections of a life
					q := strings.Join(query, "&")
					resumes := last != "" && !wires[kind].noID
					if resumes && !wires[kind].asksAgain {
						q += "&last_id=" + last
					}
					c := w.hold(t, kind, q)
					if wires[kind].asksAgain && last != "" {
						c.Close() // begin again with the last id, on a new connection
						c = &client{Client: c.Client, t: t, kind: kind, target: "/_push?" + q, last: last}
						c.Client = redial(t, w.addr)
					}
					if !resumes {
						clear(mine)
					}
					for range 5 + r.IntN(30) {
						m := c.recv()
						if m.Type != "message" {
							t.Errorf("%s was told %+v", kind, m)
							return
						}
						var channel int
						var number int64
						if n, err := fmt.Sscanf(m.Data, "c%d/%d", &channel, &number); n != 2 || err != nil {
							t.Errorf("%s was told %q", kind, m.Data)
							return
						}
						if !strings.Contains("&"+q+"&", fmt.Sprintf("&channel=public.c%d&", channel)) {
							t.Errorf("%s with %s was told %s", kind, q, m.Data)
							return
						}
						if before := mine[channel]; before != 0 && number != before+1 {
							t.Errorf("%s with %s was told %s after %d (resumed: %v)", kind, q, m.Data, before, resumes)
							return
						}
						mine[channel] = number
						if m.ID != "" {
							last = m.ID
						}
						seen.Add(1)
					}
					if wires[kind].asksAgain {
						if len(c.queue) > 0 { // read but not looked at: come back from the last that was
							c.queue = nil
						}
					}
					if r.IntN(2) == 0 {
						wiretest.TCP(c.Conn).SetLinger(0)
					}
					c.Close()
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	publisher.Wait()
	w.waitHeld(t, 0)
	if n := seen.Load(); n < clients*4*5 && !t.Failed() {
		t.Errorf("only %d messages were seen", n)
	}
}
