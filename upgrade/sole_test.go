// The race detector lets sync.Pool drop at random what it is given.

//go:build !race

package upgrade_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
)

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
