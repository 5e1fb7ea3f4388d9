package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/wiretest"
)

// TestPosition: what is published between GET /position and the hold is replayed exactly once, and nothing from before it,
// also of a channel that had no message yet and while others publish.
func TestPosition(t *testing.T) {
	s, _ := serveTold(t, newToldApp(t), `
channels: [{match: "room.*", access: public, wildcards: true, history: {messages: 1000}}]
`)
	request := func(address, head, body string) (status int, text string) {
		t.Helper()
		c := wiretest.Dial(t, address)
		defer c.Close()
		c.Send(fmt.Sprintf("%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body))
		method, _, _ := strings.Cut(head, " ")
		resp, text := c.Response(method)
		return resp.StatusCode, text
	}
	position := func(query string) string {
		t.Helper()
		var at struct {
			LastID string `json:"last_id"`
		}
		status, text := request(s.HooksAddr().String(), "GET /position?"+query, "")
		if err := json.Unmarshal([]byte(text), &at); err != nil || status != 200 || at.LastID == "" {
			t.Fatalf("%s: %d %s", query, status, text)
		}
		return at.LastID
	}
	publish := func(channel string, n int) {
		t.Helper()
		if status, text := request(s.HooksAddr().String(), "POST /publish?channel="+channel, strconv.Itoa(n)); status != 200 {
			t.Errorf("publish: %d %s", status, text)
		}
	}
	// received resumes after an id and returns what comes, up to the message that is last.
	received := func(channel, after string, last int) (list []int) {
		t.Helper()
		for {
			var page struct {
				Messages []struct{ Data, Type string }
				Next     string
			}
			status, text := request(s.Addr().String(), "GET /_push?channel="+channel+"&last_id="+after, "")
			if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || page.Next == "" || strings.Contains(text, "gap") {
				t.Fatalf("%s after %s: %d %s", channel, after, status, text)
			}
			for _, m := range page.Messages {
				n, err := strconv.Atoi(m.Data)
				if err != nil {
					t.Fatal(text)
				}
				list = append(list, n)
			}
			if after = page.Next; slices.Contains(list, last) {
				return list
			}
		}
	}

	before := position("channel=room.new&channel=room.*")
	publish("room.new", 1)
	publish("room.other", 2)
	if got := received("room.new", before, 1); !slices.Equal(got, []int{1}) {
		t.Errorf("a channel without messages: %v", got)
	}
	if got := received("room.*", before, 2); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("a pattern: %v", got)
	}
	after := position("channel=room.new")
	publish("room.new", 3)
	if got := received("room.new", after, 3); !slices.Equal(got, []int{3}) {
		t.Errorf("a channel with messages: %v", got)
	}

	const all = 300
	var acknowledged atomic.Int64
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		for n := 1; n <= all; n++ {
			publish("room.busy", n)
			acknowledged.Store(int64(n))
		}
	}()
	type probe struct {
		at        string
		old, must int // acknowledged before, and the first that can have been published after it only
	}
	var probes []probe
	for acknowledged.Load() < all-10 {
		p := probe{old: int(acknowledged.Load())}
		p.at = position("channel=room.busy")
		p.must = int(acknowledged.Load()) + 2
		probes = append(probes, p)
	}
	<-donec
	publish("room.busy", all+1) // behind the last probe, too
	for _, p := range probes {
		got := received("room.busy", p.at, all+1)
		if first := got[0]; first <= p.old || first > p.must || !slices.Equal(got, seq(first, all+1)) {
			t.Errorf("%d published before, %d after: got %v", p.old, p.must, got)
		}
	}
	for query, want := range map[string]string{
		"":                               "want channel=NAME",
		"channel=room.x&channel=other":   "no rule",
		"channel=room..x":                "bad channel name",
		"channel=*":                      "a pattern needs one with wildcards",
		"channel=room.x&last_id=1":       `parameter \"last_id\"`,
		"channel=room.x&channel=room.**": "a pattern needs one",
	} {
		if status, text := request(s.HooksAddr().String(), "GET /position?"+query, ""); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%q: %d %s; want %s", query, status, text, want)
		}
	}
}

func seq(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}
