package hub

import "testing"

// TestOnPublish: what depends on a channel ends before a subscriber has the message, and nothing ends by what is refused as it
// has no channel.
func TestOnPublish(t *testing.T) {
	var ended string
	h := New(Options{OnPublish: func(channel string) { ended += channel + " " }, Rule: func(name string) (History, bool) {
		return History{}, name != "shut"
	}})
	r := new(recorder)
	h.Lane(0).Join(r, []string{"a"}, 0, false)
	before := ""
	h.Lane(0).OnWork(func() { before = ended })
	say(t, h, "1", "a", "b", "a")
	want(t, "ended before the loop is woken", before, "a b ")
	if _, err := h.Publish([]Draft{{Channels: []string{"c"}}, {Channels: []string{"shut"}}}); err == nil {
		t.Error("published to a channel without a rule")
	}
	want(t, "ended", ended, "a b ")
}
