package upgrade_test

import (
	"strings"
	"testing"

	"holdfast/internal/wiretest"
)

// TestLast: who asks gets the newest of each channel first, and then what comes; an id to resume from goes before.
func TestLast(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		var ids []string
		for _, data := range []string{"a1", "a2", "b1", "a3"} {
			ids = append(ids, w.publish(t, data, "public."+data[:1]))
		}
		all := "channel=public.a&channel=public.b&channel=public.none"
		c := w.hold(t, kind, all+"&last=1")
		c.expect("b1", "a3")
		w.publish(t, "b2", "public.b")
		c.expect("b2")

		w.hold(t, kind, "channel=public.a&last=2").expect("a2", "a3")
		w.hold(t, kind, "channel=public.a&last=99999").expect("a1", "a2", "a3")
		w.hold(t, kind, all+"&last=1&last_id="+ids[0]).expect("a2", "b1", "a3", "b2")

		// What is not kept any more was not missed.
		for _, data := range []string{"1", "2", "3"} {
			w.publish(t, data, "old.a")
		}
		w.hold(t, kind, "channel=old.a&last=5").expect("2", "3")
	})
}

func TestLastThatIsNoNumber(t *testing.T) {
	w := start(t)
	for _, last := range []string{"x", "-1", "1.5", "99999999999999999999"} {
		c := wiretest.Dial(t, w.addr)
		c.Send(request("sse", "/_push?channel=public.a&last="+last))
		if resp, body := c.Response("GET"); resp.StatusCode != 400 || !strings.Contains(body, "last is not a number") {
			t.Errorf("last=%s is answered %d %s", last, resp.StatusCode, body)
		}
	}
}
