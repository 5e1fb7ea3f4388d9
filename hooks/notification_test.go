package hooks

import (
	"strings"
	"testing"

	"holdfast/internal/hub"
)

// TestNotification: a message without data has the number of its subscribers instead, and an event that tells it from others.
func TestNotification(t *testing.T) {
	a := start(t, "tcp", Options{})
	var one, two listener
	a.hub.Lane(0).Join(&one, []string{"a", "b"}, 0, false)
	a.hub.Lane(0).Join(&two, []string{"a"}, 0, false)
	for _, c := range []struct{ body, want string }{
		{`{"channel":"a"}`, `changed {"subscribers":2}`},
		{`{"channel":"b"}`, `changed {"subscribers":1}`},
		{`{"channel":["a","b"]}`, `changed {"subscribers":3}`}, // one of them counts twice
		{`{"channel":"b","event":"moved"}`, `moved {"subscribers":1}`},
		{`[{"channel":"b"},{"channel":"b","data":""}]`, `changed {"subscribers":1}; `},
		{`{"channel":"b","idempotency_key":"k"}`, `changed {"subscribers":1}`},
	} {
		one.got = nil
		if r := a.raw(request("POST /publish", "", c.body)); r.status != 200 {
			t.Errorf("%s: %d %s", c.body, r.status, r.body)
		}
		for a.hub.Lane(0).Step(10) {
		}
		var got []string
		for _, m := range one.got {
			got = append(got, strings.TrimSuffix(m.Event+" "+string(m.Data), " "))
			if m.JSON != (len(m.Data) > 0) {
				t.Errorf("%s: JSON is %v", c.body, m.JSON)
			}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: received %q, want %q", c.body, strings.Join(got, "; "), c.want)
		}
	}
}

// TestNotificationAgain: a notification that is sent again is the same publish, whoever holds the channel by then.
func TestNotificationAgain(t *testing.T) {
	a := start(t, "tcp", Options{})
	first := a.publishWith("k-1", "", `{"channel":"a"}`)
	keyed := a.raw(request("POST /publish", "", `{"channel":"a","idempotency_key":"k-2"}`))
	var one listener
	a.hub.Lane(0).Join(&one, []string{"a"}, 0, false)
	again := a.publishWith("k-1", "", `{"channel":"a"}`)
	keyedAgain := a.raw(request("POST /publish", "", `{"channel":"a","idempotency_key":"k-2"}`))
	if again.status != 200 || again.body != first.body || keyedAgain.status != 200 || keyedAgain.body != keyed.body || a.published() != 2 {
		t.Errorf("%+v and %+v, again %+v and %+v; %d published", first, keyed, again, keyedAgain, a.published())
	}
}

var _ hub.Subscriber = (*listener)(nil)
