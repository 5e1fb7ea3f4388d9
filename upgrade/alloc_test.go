package upgrade_test

import (
	"runtime"
	"testing"

	"holdfast/internal/hub"
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
