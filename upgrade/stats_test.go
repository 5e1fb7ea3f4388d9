package upgrade_test

import (
	"errors"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestRejectReasons: each rejected subscribe request is counted once, under its reason.
func TestRejectReasons(t *testing.T) {
	answer := func(v auth.Result, err error) func(*upgrade.Options) {
		return func(o *upgrade.Options) {
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return v, err })
		}
	}
	for _, tt := range []struct {
		reason, channel string
		status          int
		change          func(*upgrade.Options)
		drain           bool
		fields          []string
	}{
		{reason: "bad_request", channel: "", status: 400},
		{reason: "denied", channel: "unknown", status: 403},
		{reason: "denied", channel: "user.a", status: 401, change: answer(auth.Result{Status: 401}, nil)},
		{reason: "unavailable", channel: "user.a", status: 503, change: answer(auth.Result{}, errors.New("down"))},
		{reason: "origin", channel: "public.a", status: 403, fields: []string{"Origin: http://evil.test"}},
		{reason: "draining", channel: "public.a", status: 503, drain: true},
		{reason: "internal_error", channel: "user.a", status: 500, change: func(o *upgrade.Options) {
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { panic("on purpose") })
		}},
	} {
		t.Run(tt.reason+" "+tt.channel, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*upgrade.Options) {}
			}
			w := start(t, change)
			if tt.drain {
				w.keeper.Drain()
			}
			c := wiretest.Dial(t, w.addr)
			c.Send(request("longpoll", "/_push?channel="+tt.channel, tt.fields...))
			resp, body := c.Response("GET")
			if n := w.keeper.Stats().Rejected[tt.reason]; resp.StatusCode != tt.status || n != 1 || w.rejected() != 1 {
				t.Errorf("answered %d %q, counted %v; want %d", resp.StatusCode, body, w.keeper.Stats().Rejected, tt.status)
			}
		})
	}
}

// TestAnsweredPollsAreNoDrops: an ordinary answer to a long poll is counted apart from what ends connections.
func TestAnsweredPollsAreNoDrops(t *testing.T) {
	w := start(t)
	c := wiretest.Dial(t, w.addr)
	for range 2 {
		c.Send(request("longpoll", "/_push?channel=public.a&wait=0"))
		c.Response("GET")
	}
	wiretest.Eventually(t, "both are counted", func() bool { return w.keeper.Stats().Answered == 2 })
	for reason, n := range w.keeper.Stats().Dropped {
		if n != 0 {
			t.Errorf("%d connections were closed: %s", n, reason)
		}
	}
}
