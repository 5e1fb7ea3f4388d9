package upgrade_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// say sends a text message, in pieces of a fragment each if there are several.
func (c *client) say(pieces ...string) {
	var b strings.Builder
	for i, p := range pieces {
		op := byte(0)
		if i == 0 {
			op = 1
		}
		b.WriteString(frame(i == len(pieces)-1, op, []byte(p)))
	}
	c.Send(b.String())
}

// told reads the next frame of a server as it is.
func (c *client) told(want string) {
	c.t.Helper()
	op, p, err := readFrame(c.Reader)
	if err != nil || op != 1 || !strings.Contains(string(p), want) {
		c.t.Fatalf("told %d %s %v; want %s", op, p, err, want)
	}
}

func TestSubscribe(t *testing.T) {
	w := start(t)
	c := w.hold(t, "websocket v1", "channel=public.a")
	w.waitHeld(t, 1)
	first := w.publish(t, "before", "public.b")
	w.publish(t, "missed", "public.b")
	c.say(`{"type":"subscribe","channels":["public.b"],"ref":1}`)
	c.told(`"subscribed","channels":["public.b"],"id":"`)
	w.publish(t, "one", "public.a", "public.b")
	c.expect("one") // once
	c.say(`{"type":"unsub`, ``, `scribe","channels":["public.b"],"re`, `f":"\u00e4"}`)
	c.told(`{"type":"unsubscribed","channels":["public.b"],"ref":"\u00e4"}`)
	w.publish(t, "not for it", "public.b")
	w.publish(t, "two", "public.a")
	c.expect("two")

	c.say(`{"type":"subscribe","channels":["public.b"],"last_id":"` + first + `","ref":2}`)
	c.told(`"replay":3,"ref":2}`)
	c.expect("missed", "one", "not for it")
	for range 3 {
		w.publish(t, "old", "old.x")
	}
	c.say(`{"type":"subscribe","channels":["old.x"],"last_id":"` + first + `"}`)
	c.told(`"replay":3}`) // the gap and two messages
	c.told(`{"type":"gap","channel":"old.x","id":"`)
	c.expect("old", "old")

	c.say(`{"type":"unsubscribe","channels":["public.a","public.b","old.x"]}`)
	c.told("unsubscribed")
	if n := w.subscribers("public.a", "public.b", "old.x"); !slices.Equal(n, []int{0, 0, 0}) {
		t.Errorf("subscribers %d", n)
	}
	c.say(`{"type":"ping"}`)
	c.told(`{"type":"pong"}`)
	c.say(` { "type" : "ping" } `)
	c.told(`{"type":"pong"}`)
	c.say(`{"type":"subscribe","channels":["public.c"]}`)
	c.told("subscribed")
	w.publish(t, "three", "public.c")
	c.expect("three")
}

// TestSubscribeRefused: what is refused changes nothing, says why, and carries the ref.
func TestSubscribeRefused(t *testing.T) {
	w := start(t, func(o *upgrade.Options) {
		o.MaxChannels = 3
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
			t.Error("the app was asked")
			return auth.Result{Allowed: true}, nil
		})
	})
	for _, tt := range []struct{ say, want string }{
		{`{"type":"subscribe","channels":["none.x"],"ref":7}`, `no rule for this channel","ref":7}`},
		{`{"type":"subscribe","channels":["public..x"],"ref":"a"}`, `"ref":"a"}`},
		{`{"type":"subscribe","channels":["public.*.x"]}`, `bad channel name`},
		{`{"type":"subscribe","channels":["user.x"],"ref":7}`, `enable push.live_subscribe`},
		{`{"type":"subscribe","channels":["public.b","user.x"]}`, `enable push.live_subscribe`},
		{`{"type":"subscribe","channels":["public.b","public.c","public.d"]}`, `more than 3 channels`},
		{`{"type":"subscribe","channels":["public.b","public.b","public.b","public.b"]}`, `more than 3 channels`},
		{`{"type":"subscribe","channels":[]}`, `at least one`},
		{`{"type":"subscribe","channels":"public.b","ref":3}`, `list of names","ref":3`},
		{`{"type":"subscribe","channels":["public.b",null]}`, `list of names`},
		{`{"type":"subscribe","channels":["public.b"],"last_id":"!"}`, `last_id is not`},
		{`{"type":"subscribe","channels":["public.b"],"last_id":5}`, `last_id: want`},
		{`{"type":"subscribe","channel":["public.b"],"ref":3}`, `is not known; want type, channels, last_id, data, token or ref","ref":3`},
		{`{"type":"subscribe","Channels":["public.b"]}`, `is not known`},
		{`{"type":"subscribe","channels":["public.b"],"channels":["user.x"]}`, `key \"channels\" for the second time`},
		{`{"type":"subscribe","channels":["public.b"],"ref":{}}`, `ref: want`},
		{`{"type":"subscribe","channels":["public.b"],"ref":"` + strings.Repeat("x", 70) + `"}`, `ref: want`},
		{`{"type":"publish","channels":["public.b"]}`, `\"publish\" is not known`},
		{`{"channels":["public.b"]}`, `type is missing`},
		{`{"type":"unsubscribe","channels":["public.a"],"last_id":"` + hub.ID(1).String() + `"}`, `not for unsubscribe`},
		{`{"type":"ping","channels":["public.a"]}`, `not for ping`},
		{`{"type":"subscribe","channels":["public.b"]} {}`, `one JSON object`},
		{`{"type":"subscribe","channels":["public.b"]`, `one JSON object`},
		{`[]`, `one JSON object`}, {`null`, `one JSON object`}, {``, `one JSON object`}, {`hello`, `one JSON object`},
		{strings.Repeat("[", 1800), `one JSON object`},
		{`{"type":"ping"}` + strings.Repeat(" ", 3000), `frame too large: at most`},
	} {
		t.Run(tt.say[:min(len(tt.say), 60)], func(t *testing.T) {
			c := w.hold(t, "websocket v1", "channel=public.a")
			c.say(tt.say)
			c.told(`{"type":"error","error":`)
			c.say(tt.say)
			c.told(tt.want)
			if n := w.subscribers("public.b", "user.x", "none.x"); !slices.Equal(n, []int{0, 0, 0}) {
				t.Errorf("subscribers %d", n)
			}
			w.publish(t, "as ever", "public.a")
			c.expect("as ever")
			c.Send(frame(true, 2, []byte(`{"type":"ping"} `)))
			c.told("binary frame")
			c.Conn.Close()
			w.waitHeld(t, 0)
		})
	}
}

// TestSubscribeAsksTheApp: with the login of the handshake, and what it answers is what happens.
func TestSubscribeAsksTheApp(t *testing.T) {
	for _, tt := range []struct {
		name    string
		first   string // channel at the start
		verdict auth.Result
		err     error
		want    string
		holds   []int // of user.x, user.y, public.b
	}{
		{"yes", "user.a", auth.Result{Allowed: true, User: "ann"}, nil, `"channels":["user.x","public.b","user.y"]`, []int{1, 1, 1}},
		{"narrowed", "user.a", auth.Result{Allowed: true, User: "ann", Channels: []string{"user.y"}}, nil, `"channels":["public.b","user.y"]`, []int{0, 1, 1}},
		{"401", "user.a", auth.Result{Status: 401}, nil, "not logged in", []int{0, 0, 0}},
		{"403", "user.a", auth.Result{Status: 403}, nil, "not allowed", []int{0, 0, 0}},
		{"no verdict", "user.a", auth.Result{Allowed: true, User: "ann"}, errors.New("down"), "could not be authorized now", []int{0, 0, 0}},
		{"another user", "user.a", auth.Result{Allowed: true, User: "bob"}, nil, "another user", []int{0, 0, 0}},
		{"a user no more", "user.a", auth.Result{Allowed: true}, nil, "another user", []int{0, 0, 0}},
		{"a user at last", "public.a", auth.Result{Allowed: true, User: "bob"}, nil, `"subscribed"`, []int{1, 1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan auth.Request, 3)
			w := start(t, func(o *upgrade.Options) {
				o.Live = true
				o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
					if asked <- q; q.Channels[0] == "user.a" {
						return auth.Result{Allowed: true, User: "ann"}, nil
					}
					return tt.verdict, tt.err
				})
			})
			c := w.hold(t, "websocket v1", "channel="+tt.first, "Cookie: s=1", "Cookie: t=2", "Authorization: Bearer z", "User-Agent: me")
			if tt.first == "user.a" {
				<-asked
			}
			c.say(`{"type":"subscribe","channels":["user.x","public.b","user.y"],"ref":5}`)
			c.told(tt.want)
			q := <-asked
			if q.Cookie != "s=1; t=2" || q.Authorization != "Bearer z" || q.UserAgent != "me" || q.Host != "app.test" || q.ClientAddr != "127.0.0.1" ||
				!slices.Equal(q.Channels, []string{"user.x", "user.y"}) {
				t.Errorf("asked %+v", q)
			}
			if n := w.subscribers("user.x", "user.y", "public.b"); !slices.Equal(n, tt.holds) {
				t.Errorf("subscribers %d; want %d", n, tt.holds)
			}
			w.publish(t, "as ever", tt.first)
			c.expect("as ever")
			c.say(`{"type":"unsubscribe","channels":["` + tt.first + `","user.x","user.y","public.b"]}`)
			c.told("unsubscribed")
			c.say(`{"type":"subscribe","channels":["user.x","public.b","user.y"],"ref":5}`) // from nothing
			c.told(tt.want)
		})
	}
}

// TestSubscribeWhileAuthorizing: what is said while the app is asked waits, in order and up to a bound, and a
// connection that ends meanwhile is in no channel.
func TestSubscribeWhileAuthorizing(t *testing.T) {
	release := make(chan struct{})
	w := start(t, func(o *upgrade.Options) {
		o.Live = true
		o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
			<-release
			return auth.Result{Allowed: true}, nil
		})
	})
	c := w.hold(t, "websocket v1", "channel=public.a")
	gone := w.hold(t, "websocket v1", "channel=public.a")
	w.waitHeld(t, 2)
	gone.say(`{"type":"subscribe","channels":["user.x"]}`)
	gone.say(`{"type":"subscribe","channels":["public.x"]}`)
	gone.Send(frame(true, 8, nil))
	w.waitHeld(t, 1)
	for i := range 5 {
		c.say(fmt.Sprintf(`{"type":"subscribe","channels":["user.%d"],"ref":%d}`, i, i))
	}
	for i := range 5 {
		c.say(fmt.Sprintf(`{"type":"unsubscribe","channels":["user.%d"],"ref":%d}`, i, 10+i))
	}
	w.publish(t, "meanwhile", "public.a")
	c.expect("meanwhile")
	close(release)
	for i := range 5 {
		c.told(fmt.Sprintf(`"ref":%d}`, i))
	}
	for i := range 5 { // the last had to wait before it was read
		c.told(fmt.Sprintf(`"ref":%d}`, 10+i))
	}
	if n := w.subscribers("user.x", "public.x", "user.0", "user.4"); !slices.Equal(n, []int{0, 0, 0, 0}) {
		t.Errorf("subscribers %d", n)
	}
}

// TestFlood: a client that sends faster than its rate is read more slowly and loses nothing; one that goes on with what
// is refused is closed with 1008; and nobody else notices.
func TestFlood(t *testing.T) {
	for name, tt := range map[string]struct {
		say   string
		reads bool
		close bool
	}{
		"well-formed":             {`{"type":"unsubscribe","channels":["public.b"],"ref":1}`, true, false},
		"no JSON":                 {`{"type":`, true, true},
		"no JSON, does not read":  {`{"type":`, false, true},
		"a message, but in pings": {`{"type":"ping","ref":1}`, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(o *upgrade.Options) { o.MessageRate = 20 })
			other := w.hold(t, "websocket v1", "channel=public.a")
			c := w.hold(t, "websocket v1", "channel=public.a")
			w.waitHeld(t, 2)
			c.Send(strings.Repeat(frame(true, 1, []byte(tt.say)), 60))
			w.publish(t, "as ever", "public.a")
			other.expect("as ever")
			answers := 0
			for tt.reads {
				m := c.recv()
				if m.Type == "end" {
					t.Fatal("ended without a close")
				}
				if m.Type == "close" {
					if m.Code != 1008 {
						t.Fatalf("closed with %d", m.Code)
					}
					break
				}
				if m.Type == "unsubscribed" || m.Type == "pong" {
					if answers++; answers == 60 {
						break
					}
				}
			}
			s := w.keeper.Stats()
			if tt.close {
				w.waitHeld(t, 1)
				if s = w.keeper.Stats(); s.Dropped["too_many_errors"] != 1 {
					t.Errorf("%d were closed for too many errors", s.Dropped["too_many_errors"])
				}
			} else if answers != 60 || s.Throttled == 0 || s.Held["websocket"] != 2 {
				t.Errorf("%d answers, %+v; want all 60, read at a rate", answers, s)
			}
		})
	}
}

// TestFaultsAreForgiven: one for each message that is as it should be.
func TestFaultsAreForgiven(t *testing.T) {
	w := start(t)
	c := w.hold(t, "websocket v1", "channel=public.a")
	for range 50 {
		c.say("?")
		c.told("one JSON object")
		c.say(`{"type":"subscribe","channels":["public.a"]}`)
		c.told("subscribed")
	}
}

// TestSubscribeOfDrained: an answer of the app that comes after the end changes nothing.
func TestSubscribeOfDrained(t *testing.T) {
	release := make(chan struct{})
	w := start(t, func(o *upgrade.Options) {
		o.Live = true
		o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
			<-release
			return auth.Result{Allowed: true}, nil
		})
	})
	c := w.hold(t, "websocket v1", "channel=public.a")
	c.say(`{"type":"subscribe","channels":["user.x"]}`)
	c.say(`{"type":"ping"}`)
	wiretest.Eventually(t, "it asks", func() bool { return w.keeper.Stats().ClientMessages == 1 })
	w.keeper.Drain()
	w.waitHeld(t, 0)
	close(release)
	m := c.recv()
	for ; m.Type == "pong"; m = c.recv() {
	}
	if m.Type != "close" || m.Code != 1001 {
		t.Errorf("told %+v", m)
	}
	if n := w.subscribers("user.x"); n[0] != 0 {
		t.Errorf("subscribers %d", n)
	}
}
