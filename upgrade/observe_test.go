package upgrade_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// witness writes down what it is told.
type witness struct {
	t    *testing.T
	mu   sync.Mutex
	held map[string]connection.Info
	list []string

	uninteresting string // to anybody, in this first channel; empty: public.unseen, to nobody
}

func (w *witness) Wants(user string, channels []string) bool {
	if w.uninteresting != "" {
		return channels[0] != w.uninteresting
	}
	return user != "" || channels[0] != "public.unseen"
}

func (w *witness) Begun(c connection.Info) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, again := w.held[c.ID]; again || len(c.ID) < 16 {
		w.t.Errorf("id %q", c.ID)
	}
	w.held[c.ID] = c
	w.list = append(w.list, fmt.Sprintf("begun %s %q %v", c.Transport, c.User, c.Channels))
}

func (w *witness) Adopted(c connection.Info) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.held[c.ID]; !ok || fmt.Sprint(b) != fmt.Sprint(c) {
		w.t.Errorf("%+v was adopted, %+v had begun", c, b)
	}
	w.list = append(w.list, "adopted")
}

func (w *witness) Changed(c connection.Info, join, leave []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.held[c.ID]; !ok || b.User != c.User {
		w.t.Errorf("%+v changed, %+v had begun", c, b)
	}
	w.held[c.ID] = c
	w.list = append(w.list, fmt.Sprintf("changed %v +%v -%v", c.Channels, join, leave))
}

func (w *witness) Ended(c connection.Info, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.held[c.ID]; !ok || fmt.Sprint(b) != fmt.Sprint(c) {
		w.t.Errorf("%+v ended, %+v had begun", c, b)
	}
	delete(w.held, c.ID)
	w.list = append(w.list, fmt.Sprintf("ended %q %s", c.User, reason))
}

func (w *witness) await(want ...string) {
	w.t.Helper()
	got := ""
	wiretest.Eventually(w.t, strings.Join(want, ", "), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		got = strings.Join(w.list, ", ")
		return len(w.list) >= len(want)
	})
	if got != strings.Join(want, ", ") {
		w.t.Errorf("got %s\nwant %s", got, strings.Join(want, ", "))
	}
}

func TestObserver(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		seen := &witness{t: t, held: make(map[string]connection.Info)}
		w := start(t, func(o *upgrade.Options) {
			o.Observer = seen
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
				return auth.Result{Allowed: true, User: "ann"}, nil
			})
		})
		begun := func(user, channels string) string {
			return fmt.Sprintf("begun %s %q [%s]", wires[kind].transport, user, channels)
		}

		unseen := w.hold(t, kind, "channel=public.unseen")
		w.waitHeld(t, 1)
		ann := w.hold(t, kind, "channel=user.1&channel=public.a")
		w.waitHeld(t, 2)
		seen.await(begun("ann", "public.a user.1"))
		unseen.Conn.Close()
		ann.Conn.Close()
		w.waitHeld(t, 0)
		seen.await(begun("ann", "public.a user.1"), `ended "ann" client_gone`)

		w.hold(t, kind, "channel=public.a")
		w.waitHeld(t, 1)
		w.keeper.Drain()
		reason := "draining"
		if wires[kind].asksAgain {
			reason = "answered"
		}
		seen.await(begun("ann", "public.a user.1"), `ended "ann" client_gone`, begun("", "public.a"), `ended "" `+reason)
	})
}

// An answer that ends a long poll at once is a beginning and an end, too.
func TestObserverOfAnAnsweredPoll(t *testing.T) {
	seen := &witness{t: t, held: make(map[string]connection.Info)}
	w := start(t, func(o *upgrade.Options) { o.Observer = seen })
	c := wiretest.Dial(t, w.addr)
	c.Send(request("longpoll", "/_push?channel=public.a&wait=0"))
	c.Response("GET")
	seen.await(`begun longpoll "" [public.a]`, `ended "" answered`)
}
