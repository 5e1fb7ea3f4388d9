// The race detector lets sync.Pool drop at random what it is given.

//go:build !race

package hooks

import (
	"bytes"
	"io"
	"testing"

	"holdfast/internal/hub"
)

// asks returns a function that sends a request on a kept connection and reads the whole response, whose length is always
// the same.
func asks(t *testing.T, a *app, request string) func() {
	c := a.dial()
	line, response := []byte(request), make([]byte, 4<<10)
	var size int
	return func() {
		if _, err := c.Write(line); err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			n, err := c.Read(response)
			if err != nil || !bytes.HasPrefix(response, []byte("HTTP/1.1 200 ")) {
				t.Fatalf("response %q, %v", response[:n], err)
			}
			size = n
			return
		}
		if _, err := io.ReadFull(c, response[:size]); err != nil || !bytes.HasSuffix(response[:size], []byte("}\n")) {
			t.Fatalf("response %q, %v", response[:size], err)
		}
	}
}

// TestPublishAllocations counts the allocations of the whole process; the client has none. A publish has the message, its
// data, and the byte into which the engine reads the beginning of the next request.
func TestPublishAllocations(t *testing.T) {
	for _, c := range []struct {
		name, request string
		most          float64
	}{
		{"data as it is", request("POST /publish?channel=public.news", "", "hello"), 3},
		{"an event", request("POST /publish?channel=public.news&event=tick", "", "hello"), 3},
		{"JSON", request("POST /publish", "", `{"channel":"public.news","data":{"n":1}}`), 4},
		{"JSON text", request("POST /publish", "", `{"channel": ["public.news"], "data": "it's", "event": "tick"}`), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hub.New(hub.Options{})
			l := new(listener)
			h.Lane(0).Join(l, []string{"public.news"}, 0, false)
			a := start(t, "tcp", Options{Hub: h})
			publish := asks(t, a, c.request)
			once := func() {
				publish()
				for h.Lane(0).Step(64) {
				}
				clear(l.got)
				l.got = l.got[:0]
			}
			for range 100 {
				once()
			}
			if n := testing.AllocsPerRun(1000, once); n > c.most {
				t.Errorf("%v allocations per publish; want %v at most", n, c.most)
			}
		})
	}
}
