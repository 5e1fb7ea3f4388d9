package hub

import (
	"fmt"
	"testing"
)

// Reading page by page gives what is kept, each message once, whatever the size of a page.
func TestReadPages(t *testing.T) {
	h := New(Options{Rule: func(string) (History, bool) { return History{Messages: 5}, true }})
	var ids []ID
	for i := range 7 {
		r, err := h.Publish([]Draft{{Channels: []string{"a"}, Data: fmt.Append(nil, i)}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r[0].ID)
	}
	for _, tt := range []struct {
		name  string
		limit int
		bytes int64
	}{{"one at a time", 1, 100}, {"two", 2, 100}, {"all", 5, 100}, {"more than all", 100, 100}, {"by bytes", 100, 3}, {"too large each", 100, 0}} {
		var got string
		after, pages := ID(0), 0
		for more := true; more && pages < 10; pages++ {
			p := h.Read("a", after, tt.limit, tt.bytes)
			for _, m := range p.Messages {
				got += string(m.Data)
			}
			if p.Gap || len(p.Messages) > tt.limit {
				t.Errorf("%s: page %d has a gap or too much: %+v", tt.name, pages, p)
			}
			after, more = p.Next, p.More
		}
		if got != "23456" || after != ids[6] {
			t.Errorf("%s: read %q up to %v; want 23456 up to %v", tt.name, got, after, ids[6])
		}
	}
	for _, tt := range []struct {
		name     string
		channel  string
		after    ID
		messages int
		gap      bool
	}{
		{"the oldest that is gone", "a", ids[1], 5, false},
		{"before it", "a", ids[0], 5, true},
		{"from a hub before", "a", h.origin.start - 1, 5, true},
		{"from the future", "a", ids[6] + 1, 5, true},
		{"the newest", "a", ids[6], 0, false},
		{"nobody's channel", "b", ids[6], 0, false},
		{"nobody's channel, of a hub before", "b", h.origin.start - 1, 0, true},
		{"nobody's channel, from the beginning", "b", 0, 0, false},
	} {
		if p := h.Read(tt.channel, tt.after, 10, 100); len(p.Messages) != tt.messages || p.Gap != tt.gap || p.More || p.Next != ids[6] {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
	check(t, h)
}

// What is read is used: it is not the first to go when the total is reached.
func TestReadIsUse(t *testing.T) {
	h := New(Options{HistoryTotal: 3 * (storedCost + 1), Rule: func(string) (History, bool) { return History{Messages: 5}, true }})
	for _, name := range []string{"a", "b", "c"} {
		if _, err := h.Publish([]Draft{{Channels: []string{name}, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	h.Read("a", 0, 1, 1)
	if _, err := h.Publish([]Draft{{Channels: []string{"d"}, Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if a, b := h.Read("a", 0, 9, 9), h.Read("b", 0, 9, 9); len(a.Messages) != 1 || len(b.Messages) != 0 {
		t.Errorf("kept %d of the one that was read and %d of the one that was not", len(a.Messages), len(b.Messages))
	}
}
