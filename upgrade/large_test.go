package upgrade_test

import (
	"strings"
	"testing"
)

// TestLargeMessageDelaysNobody: while a large message is not rendered, others are delivered, and its subscribers get it
// in its place.
func TestLargeMessageDelaysNobody(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		a, b := w.hold(t, kind, "channel=public.a"), w.hold(t, kind, "channel=public.b")
		w.waitHeld(t, 2)
		endc := make(chan struct{})
		w.keeper.BlockRenderers(endc)
		large := strings.Repeat("l", 20_000)
		w.publish(t, large, "public.a")
		w.publish(t, "then", "public.a")
		w.publish(t, "small", "public.b")
		b.expect("small")
		close(endc)
		a.expect(large, "then")
	})
}
