package upgrade_test

import (
	"testing"

	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// An error in one dialect costs its connection, and no other one a message.
func TestPanicInDeliver(t *testing.T) {
	upgrade.AddFaultyDialect(t)
	w := start(t)
	var others []*client
	for range 8 { // on every loop
		others = append(others, w.hold(t, "sse", "channel=public.a"))
		w.hold(t, "sse", "channel=public.a&protocol=faulty")
	}
	w.waitHeld(t, 16)
	for _, data := range []string{"one", "two"} {
		w.publish(t, data, "public.a")
		for _, c := range others {
			c.expect(data)
		}
	}
	w.waitHeld(t, 8)
	wiretest.Eventually(t, "the others are counted", func() bool { return w.keeper.Stats().Dropped["internal_error"] == 8 })
}
