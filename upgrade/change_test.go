package upgrade_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/upgrade"
)

// subscribers is how many hold each channel.
func (w *world) subscribers(channels ...string) (n []int) {
	for _, c := range channels {
		i, _ := w.hub.Channel(c)
		n = append(n, i.Subscribers)
	}
	return n
}

// change changes the channels of the one connection that is held.
func (w *world) change(t *testing.T, join, leave string) string {
	t.Helper()
	n, refused := w.keeper.Change(connection.Selection{}, strings.Fields(join), strings.Fields(leave))
	if n+len(refused) != 1 {
		t.Fatalf("%d connections changed, refused %v; want the one that is held", n, refused)
	}
	for why := range refused {
		return why
	}
	return ""
}

// TestChange: a held connection hears what it is taken into, no longer what it is taken out of, and misses
// nothing of what it keeps. A long poll stays as it is.
func TestChange(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t, func(o *upgrade.Options) { o.MaxChannels = 3 })
		c := w.hold(t, kind, "channel=public.a&channel=public.b")
		w.waitHeld(t, 1)
		if wires[kind].asksAgain {
			if said := w.change(t, "public.c", ""); !strings.Contains(said, "long poll") {
				t.Fatalf("a long poll said %q", said)
			}
			w.publish(t, "not for it", "public.c")
			w.publish(t, "as ever", "public.a")
			c.expect("as ever")
			return
		}
		told := func(what string) {
			t.Helper()
			if wires[kind].tellsChanges {
				if m := c.recv(); m.Type != what {
					t.Fatalf("told %+v; want %s", m, what)
				}
			}
		}
		for i := range 50 {
			w.publish(t, fmt.Sprint("kept ", i), "public.a") // some are on their way when it moves
		}
		if said := w.change(t, "public.c public.c", "public.b public.unheld"); said != "" {
			t.Fatal(said)
		}
		told50 := make([]string, 50)
		for i := range told50 {
			told50[i] = fmt.Sprint("kept ", i)
		}
		w.publish(t, "left", "public.b")
		w.publish(t, "joined", "public.c")
		var got []string
		for len(got) < 51 {
			if m := c.recv(); m.Type == "message" {
				got = append(got, m.Data)
			}
		}
		if !slices.Equal(got, append(told50, "joined")) {
			t.Fatalf("got %q", got)
		}
		if n := w.subscribers("public.a", "public.b", "public.c"); !slices.Equal(n, []int{1, 0, 1}) {
			t.Errorf("subscribers of a, b, c: %d", n)
		}
		for _, tt := range []struct{ join, want string }{
			{"public.d public.e public.f", "more than 3 channels"},
			{"none.x", "no rule"},
			{"public..x", "empty segment"},
		} {
			if said := w.change(t, tt.join, "public.a"); !strings.Contains(said, tt.want) {
				t.Errorf("%s: said %q; want %q", tt.join, said, tt.want)
			}
		}
		if n := w.subscribers("public.a", "public.c", "public.d"); !slices.Equal(n, []int{1, 1, 0}) {
			t.Errorf("after refusals, subscribers of a, c, d: %d", n)
		}
		w.change(t, "", "public.a public.c")
		told("unsubscribed")
		w.publish(t, "to nobody", "public.a")
		w.change(t, "public.a", "")
		told("subscribed")
		w.publish(t, "again", "public.a")
		c.expect("again")
		c.Conn.Close()
		w.waitHeld(t, 0)
		if n := w.subscribers("public.a", "public.c"); !slices.Equal(n, []int{0, 0}) {
			t.Errorf("after the end, subscribers of a, c: %d", n)
		}
	})
}

// TestObserverOfChanges: who was of no interest is told of when it comes into a channel that is, and every
// change comes between a beginning and an end that name the same connection.
func TestObserverOfChanges(t *testing.T) {
	seen := &witness{t: t, held: make(map[string]connection.Info), uninteresting: "user.unseen"}
	w := start(t, func(o *upgrade.Options) {
		o.Observer = seen
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
			return auth.Result{Allowed: true, User: "ann"}, nil
		})
	})
	c := w.hold(t, "sse", "channel=user.unseen")
	w.waitHeld(t, 1)
	w.change(t, "public.a", "user.unseen")
	w.change(t, "public.b", "public.a")
	w.change(t, "public.b", "")
	c.Conn.Close()
	w.waitHeld(t, 0)
	seen.await(`begun sse "ann" [public.a]`, "changed [public.b] +[public.b] -[public.a]", `ended "ann" client_gone`)
}
