package upgrade_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
)

// TestDeliveryAllocatesNothing checks that what a message costs in allocations does not grow with its subscribers: it is
// rendered once for a dialect, and written as it is.
func TestDeliveryAllocatesNothing(t *testing.T) {
	const subscribers, messages = 200, 50
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t)
			for range subscribers {
				w.hold(t, kind, "channel=public.a")
			}
			w.waitHeld(t, subscribers)
			publish := func() {
				r, err := w.hub.Publish([]hub.Draft{{Channels: []string{"public.a"}, Data: []byte("tick"), Track: true}})
				if err != nil {
					t.Fatal(err)
				}
				<-r[0].Track.Done()
				if delivered, _ := r[0].Track.Counts(); delivered != subscribers {
					t.Fatalf("%d have it at once", delivered)
				}
			}
			publish() // what is made once is made now
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range messages {
				publish()
			}
			runtime.ReadMemStats(&after)
			if n := float64(after.Mallocs-before.Mallocs) / (subscribers * messages); n > 0.5 {
				t.Errorf("%.2f allocations for each delivery; want none", n)
			} else {
				t.Logf("%.3f allocations for each delivery, those of the publish among them", n)
			}
		})
	}
}

// TestSoleSubscriberAllocations: a message for one subscriber is rendered where it is sent from. What it costs is the
// message; a long poll's next request, which fasthttp serves, costs more.
func TestSoleSubscriberAllocations(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		draft, name := hub.Draft{Channels: []string{"public.a"}, Data: []byte("tick")}, []string{"public.a"}
		c := &client{Client: wiretest.Dial(t, w.addr), t: t, kind: kind}
		poll := []byte(request(kind, "/_push?channel=public.a"))
		most := 1.0
		if wires[kind].asksAgain {
			most = pollAllocations
		} else {
			c = w.hold(t, kind, "channel=public.a")
		}
		response := make([]byte, 4<<10)
		size := 0
		once := func() {
			if wires[kind].asksAgain {
				if _, err := c.Conn.Write(poll); err != nil {
					t.Fatal(err)
				}
			}
			for w.hub.Count(name) == 0 {
				time.Sleep(10 * time.Microsecond)
			}
			if _, err := w.hub.PublishOne(draft); err != nil {
				t.Fatal(err)
			}
			if size == 0 {
				n, err := c.Reader.Read(response)
				if err != nil || !bytes.Contains(response[:n], []byte("tick")) {
					t.Fatalf("%q, %v", response[:n], err)
				}
				size = n
			} else if _, err := io.ReadFull(c.Reader, response[:size]); err != nil || !bytes.Contains(response[:size], []byte("tick")) {
				t.Fatalf("%q, %v", response[:size], err)
			}
		}
		for range 100 {
			once()
		}
		if n := testing.AllocsPerRun(500, once); n > most {
			t.Errorf("%v allocations per message; want %v at most", n, most)
		}
	})
}

// pollAllocations are those of a long poll's request, and of the message that is its response.
const pollAllocations = 18
