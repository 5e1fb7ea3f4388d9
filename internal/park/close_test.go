package park_test

import (
	"errors"
	"io"
	"runtime"
	"testing"

	"holdfast/internal/park"
	"holdfast/internal/wiretest"
)

// TestCloseSendsWhatWasWritten: what Write took arrives, then the end, however soon Close follows and
// however much of it the network has yet to take.
func TestCloseSendsWhatWasWritten(t *testing.T) {
	for _, size := range []int{1, 300, 20 << 10, 8 << 20} {
		wrote, turn := make(chan int, 1), 0
		p := start(t, park.Options{Loops: 1})
		addr := listen(t, p, func(*park.Loop) park.Handler {
			return handlerFunc(func(c *park.Conn, ev park.Event) {
				if _, err := c.Read(c.Loop().In()); err != nil {
					return // the "go" has not come yet
				}
				n, err := c.Write(fill(make([]byte, size), 7, toPeer, 0))
				if err != nil && !errors.Is(err, park.ErrAgain) {
					t.Errorf("write: %v", err)
				}
				for range turn % 100 { // the portable build's writer may be anywhere in its work by now
					runtime.Gosched()
				}
				turn++
				c.Close()
				wrote <- n
			})
		})
		for range max(2, min(300, 1<<20/size)) {
			c := wiretest.Dial(t, addr)
			c.Send("go")
			n := <-wrote
			b, err := io.ReadAll(c)
			if err != nil || len(b) != n {
				t.Fatalf("%d bytes: Write took %d, the peer read %d and then %v", size, n, len(b), err)
			}
			if i := wrong(b, 7, toPeer, 0); i >= 0 {
				t.Fatalf("%d bytes: byte %d is %x", size, i, b[i])
			}
			c.Close()
		}
	}
}
