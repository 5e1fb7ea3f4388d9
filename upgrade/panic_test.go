package upgrade_test

import (
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/auth"
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

// An error on a worker costs the connection that it worked for: it does not wait for ever with its messages unread, and it
// keeps neither room nor a turn that others need.
func TestPanicOnWorker(t *testing.T) {
	b := &postbox{answer: func(m appcall.ClientMessage) (appcall.Reply, error) {
		if string(m.Data) == `"bad"` {
			panic("on purpose")
		}
		return echo(m)
	}}
	for name, text := range map[string]string{
		"message":   `{"type":"message","data":"bad"}`,
		"subscribe": `{"type":"subscribe","channels":["user.a"]}`,
		"token":     `{"type":"token","token":"bad"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, b.open, func(o *upgrade.Options) {
				o.InFlight, o.Live = 1, true
				o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { panic("on purpose") })
				o.Tokens = verifyFunc(func(string) (auth.TokenGrant, error) { panic("on purpose") })
			})
			bad, good := w.hold(t, "websocket v1", "channel=public.a"), w.hold(t, "websocket v1", "channel=public.a")
			bad.say(text)
			w.waitHeld(t, 1)
			good.say(`{"type":"message","data":"good"}`)
			good.told(`{"type":"reply","data":"good"}`)
			if s := w.keeper.Stats(); s.Dropped["internal_error"] != 1 || s.PostsWaiting != 0 {
				t.Errorf("counted %v, and %d posts wait", s.Dropped, s.PostsWaiting)
			}
			wiretest.Eventually(t, "no memory is counted for what was sent", func() bool { return w.keeper.Stats().Inbound == 0 })
		})
	}
}

// An error while the app is asked again is one more time that it could not be asked: it ends a hold whose time is over, and
// does not make it last.
func TestPanicInRenewal(t *testing.T) {
	var asked atomic.Int64
	w := start(t, func(o *upgrade.Options) {
		o.AuthorizeGrace = time.Millisecond
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
			if asked.Add(1) > 1 {
				panic("on purpose")
			}
			return auth.Result{Allowed: true, User: "anna", Expires: 50 * time.Millisecond}, nil
		})
	})
	w.hold(t, "websocket v1", "channel=user.a").over(503)
	w.waitHeld(t, 0)
}

// An error while a connection is sent what it has missed ends it: it must not go on as if it had that.
func TestPanicInReplay(t *testing.T) {
	upgrade.AddFaultyDialect(t)
	w := start(t)
	w.publish(t, "one", "public.a")
	wiretest.Dial(t, w.addr).Send(request("sse", "/_push?channel=public.a&last=1&protocol=faulty"))
	wiretest.Eventually(t, "it is counted", func() bool { return w.keeper.Stats().Dropped["internal_error"] == 1 })
	w.waitHeld(t, 0)
}
