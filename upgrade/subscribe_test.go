package upgrade_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// TestAppSubscribes: the app takes a user's connections into channels and out of others without being asked, and nobody
// else's. What is published after the answer reaches them, or no longer does. A poll is answered for what it loses, and
// left out of what it would gain.
func TestAppSubscribes(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w, d := guarded(t, func(o *upgrade.Options) { o.MaxChannels = 3 })
		d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
		d.set("SID=b", auth.Result{Allowed: true, User: "bert"})
		all := []*client{
			w.hold(t, kind, "channel=user.x&channel=public.y", "Cookie: SID=a"),
			w.hold(t, kind, "channel=user.x&channel=public.y", "Cookie: SID=a"),
			w.hold(t, kind, "channel=user.x", "Cookie: SID=b"),
		}
		w.waitHeld(t, 3)
		asked := d.count()
		anna := connection.Selection{User: "anna"}
		change := func(s connection.Selection, join, leave string, want int, refused ...string) {
			t.Helper()
			n, why := w.keeper.Change(s, strings.Fields(join), strings.Fields(leave))
			if got := slices.Sorted(maps.Keys(why)); n != want || !slices.Equal(got, refused) {
				t.Errorf("%+v +%s -%s: %d changed, refused %v; want %d, %v", s, join, leave, n, why, want, refused)
			}
		}
		if wires[kind].asksAgain {
			change(anna, "user.new", "", 0, "a long poll's channels are those of its request")
			change(anna, "", "user.other", 0)
			change(anna, "", "user.x", 2)
			w.publish(t, "not for anna", "user.x")
			all[2].expect("not for anna")
			for _, c := range all[:2] {
				if _, body := c.Response("GET"); !strings.HasPrefix(body, `{"messages":[],"next":"`) {
					t.Errorf("answered %s", body)
				}
			}
			return
		}
		told := func(what string) {
			t.Helper()
			for _, c := range all[:2] {
				if wires[kind].tellsChanges {
					if m := c.recv(); m.Type != what {
						t.Errorf("told %+v; want %s", m, what)
					}
				}
			}
		}
		change(anna, "user.new", "", 2)
		told("subscribed")
		change(anna, "user.new public.y", "", 2) // holds them
		change(anna, "user.more", "", 0, "more than 3 channels")
		change(anna, "", "user.more", 0)
		change(connection.Selection{User: "carl"}, "user.new", "", 0)
		w.publish(t, "new", "user.new")
		w.publish(t, "all", "user.x")
		for _, c := range all[:2] {
			c.expect("new", "all")
		}
		all[2].expect("all")
		change(anna, "", "user.x public.y", 2)
		told("unsubscribed")
		w.publish(t, "not for anna", "user.x")
		w.publish(t, "last", "user.new", "user.x")
		for _, c := range all[:2] {
			c.expect("last")
		}
		all[2].expect("not for anna", "last")
		list, _ := w.keeper.List(anna, 1)
		change(connection.Selection{Connection: list[0].ID}, "public.one", "", 1)
		change(connection.Selection{Connection: list[0].ID, User: "bert"}, "public.one", "", 0)
		if n := w.subscribers("user.x", "user.new", "public.y", "public.one"); !slices.Equal(n, []int{1, 2, 0, 1}) {
			t.Errorf("subscribers %d", n)
		}
		if n := d.count(); n != asked {
			t.Errorf("the app was asked %d times for what it said itself", n-asked)
		}
	})
}

// TestAppSubscribesToOwnChannel: also the app cannot give one user's channel to another's connection.
func TestAppSubscribesToOwnChannel(t *testing.T) {
	w, d := guarded(t, func(o *upgrade.Options) {
		o.Rules = rules(channel.Rule{Match: "user.{user}", Access: channel.Authorize})
	})
	d.set("SID=a", auth.Result{Allowed: true, User: "anna"})
	w.hold(t, "sse", "channel=user.anna", "Cookie: SID=a")
	w.hold(t, "sse", "channel=public.y")
	w.waitHeld(t, 2)
	for _, s := range []connection.Selection{{User: "anna"}, {Channel: "public.y"}} {
		if n, refused := w.keeper.Change(s, []string{"user.bert"}, nil); n != 0 || refused["this channel is another user's"] != 1 {
			t.Errorf("%+v: %d changed, %v", s, n, refused)
		}
	}
}

// TestNothingAfterUnsubscribe: what waits for a slow reader of a channel goes with the channel, unless it was
// published to another one that stays.
func TestNothingAfterUnsubscribe(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) { o.SendQueue = 1 << 30 })
			c := w.hold(t, kind, "channel=public.a&channel=public.b")
			w.waitHeld(t, 1)
			const messages = 2 * wiretest.KernelTakes / (32 << 10) / 3 * 3
			for i := range messages {
				channels := [][]string{{"public.a"}, {"public.b"}, {"public.a", "public.b"}}[i%3]
				w.publish(t, fmt.Sprint(i, " ", strings.Repeat("x", 32<<10)), channels...)
			}
			w.flood(t, 1, 1, "public.b")
			if w.keeper.Stats().SendQueue == 0 {
				t.Fatal("nothing waits")
			}
			if n, refused := w.keeper.Change(connection.Selection{}, nil, []string{"public.a"}); n != 1 {
				t.Fatalf("%d changed, %v", n, refused)
			}
			w.publish(t, "end", "public.b")
			var left, kept []int // of the channel that was left, and the rest
			for m := c.recv(); m.Data != "end"; m = c.recv() {
				if m.Type == "unsubscribed" || len(m.Data) < 32<<10 {
					continue
				}
				i := numberOf(t, m)
				if i%3 == 0 {
					left = append(left, i)
					continue
				}
				kept = append(kept, i)
				if wires[kind].tellsChanges && i > 3*len(left)+3 && m.Channel != "public.b" {
					t.Fatalf("message %d came on %s", i, m.Channel)
				}
			}
			n := len(left)
			if n == messages/3 || n > 0 && left[n-1] != 3*(n-1) {
				t.Errorf("of the channel that was left came %d", left)
			}
			for at, i := range kept {
				if i != at/2*3+at%2+1 {
					t.Fatalf("message %d is the %dth of the channel that stays", i, at)
				}
			}
			if len(kept) != messages/3*2 {
				t.Errorf("%d messages of the channel that stays came", len(kept))
			}
			wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
		})
	}
}
