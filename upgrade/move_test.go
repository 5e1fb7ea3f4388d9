//go:build linux && !park_plain

package upgrade_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/heldrecord"
	"holdfast/internal/hub"
	"holdfast/internal/hubimage"
	"holdfast/internal/park"
	"holdfast/internal/sendqueue"
	"holdfast/internal/takeover"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

var (
	_ takeover.Kind = (*upgrade.Mover)(nil)
	_ takeover.Part = (*sendqueue.Part)(nil)
)

// freeze stops the loops of w, delivers what is published, and returns its mover and what that exports first.
func (w *world) freeze(t *testing.T) (v *upgrade.Mover, frozen *park.Frozen, queues []byte) {
	t.Helper()
	v = upgrade.NewMover(w.keeper)
	if err := v.Queues().Freeze(); err != nil {
		t.Fatal(err)
	}
	frozen, err := w.poller.Freeze(wiretest.Timeout)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := v.Queues().Export(&b); err != nil {
		t.Fatal(err)
	}
	return v, frozen, b.Bytes()
}

// move has another hub, keeper and poller take over the held connections of w, as another process would, and returns them.
// It returns how many did not move.
func (w *world) move(t *testing.T, change ...func(*upgrade.Options)) (next *world, left int) {
	t.Helper()
	v, frozen, queues := w.freeze(t)
	next = build(t, nil, change...)
	var b bytes.Buffer
	image := hub.ImageOf(w.hub)
	if err := hubimage.Write(&b, image); err != nil {
		t.Fatal(err)
	}
	x, err := hubimage.Read(&b, hubimage.Version, next.hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	taker := upgrade.NewMover(next.keeper)
	if err := taker.Queues().Import(taker.Queues().Version(), bytes.NewReader(queues)); err != nil {
		t.Fatal(err)
	}
	var open, moved []*park.Conn
	frozen.Clients(func(c *park.Conn) bool { open = append(open, c); return true })
	slices.Reverse(open) // they may come in any order
	for _, c := range open {
		record, ok := v.Export(c, nil)
		if !ok {
			left++
			continue
		}
		fd, err := unix.Dup(park.Descriptor(c))
		if err != nil {
			t.Fatal(err)
		}
		adopted, err := next.poller.Loops()[len(moved)%2].Adopt(fd, park.MovingOf(c))
		if err != nil {
			t.Fatal(err)
		}
		if w.tls != nil {
			layer, ok := w.tls.Layer().Export(c, nil)
			if !ok {
				t.Fatal("the TLS of a connection can't move")
			}
			if err := next.tls.Layer().Adopt(adopted, next.tls.Layer().Version(), layer); err != nil {
				t.Fatal(err)
			}
			park.SocketOf(adopted).Again(park.Readable)
		}
		if err := taker.Adopt(adopted, taker.Version(), record); err != nil {
			t.Fatal(err)
		}
		clear(record)
		moved = append(moved, c)
	}
	v.Leave()
	for _, c := range moved {
		v.Moved(c)
		if w.tls != nil {
			w.tls.Layer().Moved(c)
		}
		park.Release(c)
	}
	image.Moved()
	x.Adopted()
	next.serve(t)
	frozen.Thaw()
	v.Queues().Thaw(true)
	if n := w.held(); n > int64(left) {
		t.Errorf("%d are still held by the first; want at most %d", n, left)
	}
	return next, left
}

// TestHeldConnectionsMove has clients of every kind move several times, with messages before, between and after.
func TestHeldConnectionsMove(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		var clients []*client
		for i := range 6 {
			clients = append(clients, w.hold(t, kind, fmt.Sprintf("channel=public.%d&channel=public.all&channel=public.old.*", i%3)))
		}
		held := int64(len(clients))
		n := 0
		publish := func() {
			for i := range 3 {
				w.publish(t, fmt.Sprint(n), "public.all", fmt.Sprint("public.", i))
				w.publish(t, fmt.Sprint(n, "."), "public.old.x")
				n++
			}
		}
		next := make([]int, len(clients))
		read := func() {
			t.Helper()
			for i, c := range clients {
				for ; next[i] < n; next[i]++ {
					c.expect(fmt.Sprint(next[i]), fmt.Sprint(next[i], "."))
				}
				if wires[kind].asksAgain && !c.asked {
					c.poll()
				}
			}
		}
		for hop := range 4 {
			w.waitHeld(t, held)
			if !wires[kind].asksAgain || hop%2 == 0 {
				publish()
			}
			if wires[kind].asksAgain {
				read()
				w.waitHeld(t, held)
			}
			var left int
			if w, left = w.move(t); left > 0 {
				t.Fatalf("%d have not moved", left)
			}
			publish()
			read()
		}
	})
}

// TestMoveOfUnreadBytes cuts what a WebSocket's client sends at every byte of two frames and a message in fragments, and
// has the connection move there.
func TestMoveOfUnreadBytes(t *testing.T) {
	sent := frame(false, 1, []byte(`{"type":"subscribe",`)) + frame(true, 9, []byte("ping")) + frame(true, 0, []byte(`"channels":["public.b"],"ref":1}`)) +
		frame(true, 1, []byte(`{"type":"ping"}`))
	for cut := 1; cut < len(sent); cut += 1 + cut/9 {
		w := start(t)
		c := w.hold(t, "websocket v1", "channel=public.a")
		c.Send(sent[:cut])
		w.waitHeld(t, 1)
		if w, left := w.move(t); left == 0 {
			c.Send(sent[cut:])
			if op, p, err := readFrame(c.Reader); err != nil || op != 10 || string(p) != "ping" {
				t.Fatalf("cut at %d: %d %q, %v; want a pong", cut, op, p, err)
			}
			c.told(`"subscribed","channels":["public.b"]`)
			c.told(`{"type":"pong"}`)
			w.publish(t, "x", "public.b")
			c.expect("x")
		} else {
			t.Fatalf("%d have not moved", left)
		}
	}
}

// TestMoveOfSlowClients: what waits for who does not read moves with it, without loss or repetition, and counts once.
func TestMoveOfSlowClients(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			bigger := func(o *upgrade.Options) { o.SendQueue = 64 << 20 }
			w := start(t, bigger)
			c := w.hold(t, kind, "channel=public.a&channel=public.b")
			twin := w.hold(t, kind, "channel=public.a&channel=public.b")
			w.waitHeld(t, 2)
			const messages = 2 * wiretest.KernelTakes / (16 << 10)
			w.flood(t, messages, 16<<10, "public.a", "public.b")
			before := w.keeper.Stats().SendQueue
			if before == 0 {
				t.Fatal("nothing waits")
			}
			for range 2 {
				w, _ = w.move(t, bigger)
			}
			if after := w.keeper.Stats().SendQueue; after == 0 || after > before+messages {
				t.Errorf("%d bytes wait; before they moved it were %d", after, before)
			}
			w.publish(t, "last", "public.a")
			for _, c := range []*client{c, twin} {
				for n := 0; n < messages; {
					if m := c.recv(); m.Type == "message" {
						if got := numberOf(t, m); got != n {
							t.Fatalf("%d, and %d is next", got, n)
						}
						n++
					}
				}
				c.expect("last")
			}
			wiretest.Eventually(t, "nothing waits any more", func() bool { return w.keeper.Stats().SendQueue == 0 })
		})
	}
}

// TestMoveIsNoEvent checks that a connection keeps its ID, user and token, and that nobody is told that it moves.
func TestMoveIsNoEvent(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		seen := &witness{t: t, held: make(map[string]connection.Info)}
		known := func(o *upgrade.Options) {
			o.Observer, o.MaxPerUser = seen, 2
			o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
				return auth.Result{Allowed: true, User: "ann", Expires: time.Hour}, nil
			})
		}
		w := start(t, known)
		c := w.hold(t, kind, "channel=user.x")
		w.waitHeld(t, 1)
		was, _ := w.keeper.List(connection.Selection{}, 9)
		for range 2 {
			w, _ = w.move(t, known)
		}
		is, _ := w.keeper.List(connection.Selection{User: "ann"}, 9)
		if fmt.Sprint(is) != fmt.Sprint(was) || len(is) != 1 {
			t.Errorf("%+v; want %+v", is, was)
		}
		if list, n := w.keeper.List(connection.Selection{Connection: was[0].ID}, 9); n != 1 {
			t.Errorf("its ID finds %+v", list)
		}
		begun := fmt.Sprintf("begun %s \"ann\" [user.x]", wires[kind].transport)
		seen.await(begun, "adopted", "adopted")
		if n := w.keeper.Disconnect(connection.Selection{Connection: was[0].ID}, 4403, "bye"); n != 1 {
			t.Errorf("%d were disconnected", n)
		}
		wires[kind].over(c, 403)
		if _, n := w.keeper.List(connection.Selection{Connection: was[0].ID}, 9); n != 0 {
			t.Errorf("its ID finds %d after its end", n)
		}
		seen.await(begun, "adopted", "adopted", `ended "ann" disconnected`)
	})
}

// TestMoveToOtherRules checks that a connection is closed, with a reason, if the rules of the other process do not allow one
// of its channels, and told of as ended.
func TestMoveToOtherRules(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		seen := &witness{t: t, held: make(map[string]connection.Info)}
		watched := func(o *upgrade.Options) { o.Observer = seen }
		w := start(t, watched)
		stays, goes := w.hold(t, kind, "channel=public.a"), w.hold(t, kind, "channel=old.a")
		w.waitHeld(t, 2)
		w, _ = w.move(t, watched, func(o *upgrade.Options) {
			o.Rules = channel.Compile([]channel.Rule{
				{Match: "public.**", Access: channel.Public}, {Match: "old.**", Access: channel.Authorize},
			})
		})
		w.waitHeld(t, 1)
		wires[kind].over(goes, 403)
		if s := w.keeper.Stats(); !wires[kind].asksAgain && s.Dropped["rule_changed"] != 1 {
			t.Errorf("%+v", s.Dropped)
		}
		w.publish(t, "as ever", "public.a")
		stays.expect("as ever")
	})
}

// TestMoveGivenUp checks that connections go on when they do not move after all.
func TestMoveGivenUp(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		c := w.hold(t, kind, "channel=public.a")
		w.waitHeld(t, 1)
		v, frozen, _ := w.freeze(t)
		if wires[kind].upgrades {
			c.Send(frame(true, 9, []byte("while it is frozen")))
		}
		frozen.Clients(func(c *park.Conn) bool {
			if _, ok := v.Export(c, nil); !ok {
				t.Error("it can't move")
			}
			return true
		})
		frozen.Thaw()
		v.Queues().Thaw(false)
		if wires[kind].upgrades {
			if op, p, err := readFrame(c.Reader); err != nil || op != 10 || string(p) != "while it is frozen" {
				t.Errorf("%d %q, %v; want a pong", op, p, err)
			}
		}
		w.publish(t, "as ever", "public.a")
		c.expect("as ever")
	})
}

// TestMoveWaitsForTheApp checks that a connection moves when the app has answered what its client asked, and that one for
// which it has not stays.
func TestMoveWaitsForTheApp(t *testing.T) {
	asked, release := make(chan struct{}, 2), make(chan struct{})
	live := func(o *upgrade.Options) {
		o.Live = true
		o.Authorizer = askFunc(func(q auth.Request) (auth.Result, error) {
			asked <- struct{}{}
			<-release
			return auth.Result{Allowed: true}, nil
		})
	}
	w := start(t, live)
	c := w.hold(t, "websocket v1", "channel=public.a")
	c.say(`{"type":"subscribe","channels":["user.x"]}`)
	c.say(`{"type":"ping","ref":1}`) // waits for the answer
	<-asked
	v := upgrade.NewMover(w.keeper)
	if err := v.Queues().Freeze(); err != nil {
		t.Fatal(err)
	}
	for _, l := range w.poller.Loops() {
		l.Do(func(done func()) {
			l.Each(func(c *park.Conn) {
				if _, ok := v.Export(c, nil); ok {
					t.Error("it would move without the answer")
				}
			})
			done()
		})()
	}
	close(release)
	next, left := w.move(t, live)
	if left > 0 {
		t.Fatalf("%d have not moved", left)
	}
	c.told(`"subscribed","channels":["user.x"]`)
	c.told(`{"type":"pong"}`)
	next.publish(t, "x", "user.x")
	c.expect("x")
}

// TestMoveOfBadRecords: nothing is adopted from what no Mover has written.
func TestMoveOfBadRecords(t *testing.T) {
	w := start(t)
	w.hold(t, "sse", "channel=public.a")
	w.waitHeld(t, 1)
	v, frozen, _ := w.freeze(t)
	defer frozen.Thaw()
	frozen.Clients(func(c *park.Conn) bool {
		b, ok := v.Export(c, nil)
		if !ok {
			t.Fatal("it can't move")
		}
		for name, record := range map[string][]byte{
			"cut": b[:len(b)-1], "another dialect": heldrecord.Append(nil, &heldrecord.Record{Dialect: "other"}),
			"a message that has not moved": heldrecord.Append(nil, &heldrecord.Record{Dialect: "sse", Queue: []heldrecord.Item{{Message: 1, Channel: "a"}}}),
		} {
			if err := v.Adopt(c, heldrecord.Version, record); err == nil {
				t.Errorf("%s: adopted", name)
			}
		}
		return true
	})
	for version, b := range map[uint16]string{v.Queues().Version(): strings.Repeat("x", 9), v.Queues().Version() + 1: ""} {
		if err := v.Queues().Import(version, strings.NewReader(b)); err == nil {
			t.Errorf("version %d: messages that are none are taken", version)
		}
	}
}

// TestMoveWhilePublishing has a publisher go on all the time; it waits only while the connections move.
func TestMoveWhilePublishing(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 3))
		w := start(t)
		var clients []*client
		for i := range 40 {
			kind := streams()[i%len(streams())]
			clients = append(clients, w.hold(t, kind, fmt.Sprintf("channel=public.%d&channel=public.all", random.IntN(5))))
		}
		var mu sync.Mutex // held while the connections move
		published := make(chan int)
		endc := make(chan struct{})
		go func() {
			n := 0
			defer func() { published <- n }()
			for {
				select {
				case <-endc:
					return
				default:
				}
				mu.Lock()
				w.publish(t, fmt.Sprint(n), "public.all", fmt.Sprint("public.", n%5))
				mu.Unlock()
				if n++; n%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
		for range 5 {
			before := w.hub.Stats().Published
			wiretest.Eventually(t, "it publishes", func() bool { return w.hub.Stats().Published > before+20 })
			mu.Lock()
			var left int
			if w, left = w.move(t); left > 0 {
				t.Errorf("%d have not moved", left)
			}
			mu.Unlock()
		}
		close(endc)
		n := <-published
		for _, c := range clients {
			for i := range n {
				c.expect(fmt.Sprint(i))
			}
		}
		if s := w.keeper.Stats(); s.Held["websocket"]+s.Held["sse"]+s.Held["ndjson"] != 40 {
			t.Errorf("%v are held", s.Held)
		}
	}
}
