package upgrade_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestPattern: who holds a pattern hears every channel that it matches, each message once, in order and by its real
// channel, and resumes as with any other channel.
func TestPattern(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		c := w.hold(t, kind, "channel=public.*&channel=public.a.**&channel=public.a")
		w.waitHeld(t, 1)
		var sent []message
		publish := func(data string, channels ...string) {
			id := w.publish(t, data, channels...)
			name := channels[0]
			if wires[kind].noChannel { // which do not tell the channel
				name = ""
			}
			if wires[kind].noID {
				id = ""
			}
			sent = append(sent, message{Type: "message", ID: id, Channel: name, Data: data})
		}
		publish("a pattern and a channel", "public.a")
		publish("a pattern", "public.b")
		w.publish(t, "too deep", "public.b.c")
		publish("several segments", "public.a.b.c")
		publish("both patterns", "public.c", "public.a.d")
		w.publish(t, "not begun so", "old.a")
		publish("the end", "public.z")
		for _, want := range sent {
			if m := c.recv(); m != want {
				t.Fatalf("told %+v; want %+v", m, want)
			}
		}
		if wires[kind].noID {
			return // it has no ids to come back with
		}
		last := sent[1].ID
		c.Conn.Close()
		w.waitHeld(t, 0)
		publish("meanwhile", "public.new")
		again := w.hold(t, kind, "channel=public.*&channel=public.a.**&last_id="+last)
		for _, want := range sent[2:] {
			if m := again.recv(); m != want {
				t.Fatalf("told %+v; want %+v", m, want)
			}
		}
	})
}

// TestPatternGap: also of a channel that is forgotten, or that nobody held by its name, it is told that something may be missing.
func TestPatternGap(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		first := w.publish(t, "1", "old.a")
		for i := range 4 {
			w.publish(t, fmt.Sprint(i), "old.a")
		}
		w.publish(t, "4", "old.b.c")
		c := w.hold(t, kind, "channel=old.**&last_id="+first)
		if wires[kind].noID {
			if m := c.recv(); m.Type != "close" || m.Code != 4000 {
				t.Fatalf("told %+v", m)
			}
			return
		}
		if m := c.recv(); m.Type != "gap" || m.Channel != "old.**" {
			t.Fatalf("told %+v; want a gap of the pattern", m)
		}
		c.expect("2", "3", "4")
		newest := w.hold(t, kind, "channel=old.**&last=1")
		newest.expect("3", "4")
	})
}

// TestPatternsThatAreRefused: what is no pattern is said to be none, and what no rule allows is not held.
func TestPatternsThatAreRefused(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t, func(o *upgrade.Options) { o.MaxChannels = 2 })
		for query, want := range map[string]string{
			"channel=public.*.a": "400 bad channel name",
			"channel=public.a*":  "400 bad channel name",
			"channel=**.a":       "400 bad channel name",
			"channel=none.**":    "403 no rule allows this pattern",
			"channel=**":         "403 no rule allows this pattern",
			"channel=public.*&channel=old.*&channel=public.a.*": "400 more than 2 channels",
		} {
			c := wiretest.Dial(t, w.addr)
			c.Send(request(kind, "/_push?"+query))
			resp, body := c.Response(http.MethodGet)
			if got := fmt.Sprint(resp.StatusCode, " ", strings.TrimPrefix(body, `{"error":"`)); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s; want %s", query, got, want)
			}
		}
	})
}

// TestPatternAsksTheApp: the app is asked about the pattern as it is, and may name parts of it, when it is asked first and when
// it is asked again.
func TestPatternAsksTheApp(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		asked := make(chan []string, 10)
		w, d := guarded(t, func(o *upgrade.Options) {
			ask := o.Authorizer
			o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
				asked <- q.Channels
				return ask.Authorize(q)
			})
		})
		d.set("SID=a", auth.Result{Allowed: true, User: "anna", Channels: []string{"user.x.**", "user.y"}})
		c := w.hold(t, kind, "channel=user.**&channel=public.*", "Cookie: SID=a")
		w.waitHeld(t, 1)
		if got := <-asked; !slices.Equal(got, []string{"user.**"}) {
			t.Errorf("asked about %q", got)
		}
		w.publish(t, "not hers", "user.z")
		w.publish(t, "hers", "user.x.1.2")
		c.expect("hers")
		if wires[kind].asksAgain {
			return
		}
		d.set("SID=a", auth.Result{Allowed: true, User: "anna", Channels: []string{"user.x.1", "user.y"}})
		w.keeper.AskAgain(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil))
		wiretest.Eventually(t, "it holds what is left", func() bool {
			return slices.Equal(w.subscribers("user.x.1", "user.x.**", "user.y"), []int{1, 0, 1})
		})
		w.publish(t, "not hers any more", "user.x.2")
		w.publish(t, "still", "user.x.1")
		w.publish(t, "open", "public.a")
		if wires[kind].tellsChanges {
			for _, want := range []string{"unsubscribed", "subscribed"} {
				if m := c.recv(); m.Type != want {
					t.Errorf("told %+v; want %s", m, want)
				}
			}
		}
		c.expect("still", "open")
	})
}

// TestPatternLive: a WebSocket joins and leaves patterns as it does channels, and misses nothing of what it had before.
func TestPatternLive(t *testing.T) {
	w, d := guarded(t, func(o *upgrade.Options) { o.Live = true })
	d.set("SID=a", auth.Result{Allowed: true, User: "anna", Channels: []string{"user.x.*"}})
	c := w.hold(t, "websocket v1", "channel=public.a", "Cookie: SID=a")
	say := func(text, want string) {
		t.Helper()
		c.Send(frame(true, 1, []byte(text)))
		op, payload, err := readFrame(c.Reader)
		if got := string(payload); err != nil || op != 1 || !strings.HasPrefix(got, want) {
			t.Fatalf("%s: told %s %v; want %s", text, got, err, want)
		}
	}
	say(`{"type":"subscribe","channels":["public.**"]}`, `{"type":"subscribed","channels":["public.**"]`)
	say(`{"type":"unsubscribe","channels":["public.a"]}`, `{"type":"unsubscribed","channels":["public.a"]`)
	say(`{"type":"subscribe","channels":["user.**"]}`, `{"type":"subscribed","channels":["user.x.*"]`)
	say(`{"type":"subscribe","channels":["none.**"]}`, `{"type":"error","error":"none.**: no rule allows this pattern"`)
	say(`{"type":"subscribe","channels":["public.a*"]}`, `{"type":"error","error":"public.a*: bad channel name`)
	w.publish(t, "one", "public.a")
	w.publish(t, "not hers", "user.y.1")
	w.publish(t, "two", "user.x.1")
	c.expect("one", "two")
	list, _ := w.keeper.List(connection.Selection{Channel: "public.of.any.name"}, 10)
	if len(list) != 1 || !slices.Equal(list[0].Channels, []string{"public.**", "user.x.*"}) {
		t.Errorf("%+v hold a channel of the pattern", list)
	}
}

// TestAppSubscribesToPattern: the app may give a pattern, and cannot take back a part of one.
func TestAppSubscribesToPattern(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w, d := guarded(t)
			d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
			c := w.hold(t, kind, "channel=user.x", "Cookie: SID=a")
			w.waitHeld(t, 1)
			change := func(join, leave string, want int, why string) {
				t.Helper()
				n, refused := w.keeper.Change(connection.Selection{User: "anna"}, strings.Fields(join), strings.Fields(leave))
				if got := strings.Join(slices.Collect(maps.Keys(refused)), ""); n != want || !strings.Contains(got, why) || (got == "") != (why == "") {
					t.Errorf("+%s -%s: %d changed, refused %q", join, leave, n, got)
				}
			}
			told := func() {
				if wires[kind].tellsChanges {
					c.recv()
				}
			}
			change("user.*", "", 1, "")
			told()
			change("", "user.x", 0, "the pattern user.*")
			change("", "user.y", 0, "the pattern user.*")
			change("none.*", "", 0, "no rule allows")
			w.publish(t, "1", "user.y")
			c.expect("1")
			change("", "user.x user.*", 1, "")
			told()
			change("public.z", "", 1, "")
			told()
			w.publish(t, "not any more", "user.y")
			w.publish(t, "2", "public.z")
			c.expect("2")
		})
	}
}

// TestPatternsShareAGroup: a pattern's subscribers are one group, as those of a channel are.
func TestPatternsShareAGroup(t *testing.T) {
	w := start(t)
	var all []*client
	for i := range 8 {
		all = append(all, w.hold(t, kinds[i%len(kinds)], "channel=public.**"))
	}
	w.waitHeld(t, 8)
	if s := w.hub.Stats(); s.Groups > 2 || s.Channels != 1 { // one a loop
		t.Errorf("%d groups in %d channels", s.Groups, s.Channels)
	}
	w.publish(t, "to all", "public.a.b")
	for _, c := range all {
		c.expect("to all")
	}
}
