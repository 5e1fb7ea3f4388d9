package upgrade_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// stuck is a client that has stopped to read while much was published.
func (w *world) flood(t *testing.T, messages, size int, channels ...string) {
	t.Helper()
	for i := range messages {
		w.publish(t, fmt.Sprint(i, " ", strings.Repeat("x", size)), strings.Fields(channels[i%len(channels)])...)
		if i%16 == 0 { // the loop is to see them one after the other, as it would
			before := w.hub.Stats().Delivered
			wiretest.Eventually(t, "they are delivered", func() bool { s := w.hub.Stats(); return s.Delivered >= before && s.Backlog == 0 })
		}
	}
	wiretest.Eventually(t, "all are delivered", func() bool { return w.hub.Stats().Backlog == 0 })
}

func numberOf(t *testing.T, m message) int {
	t.Helper()
	text, _, _ := strings.Cut(m.Data, " ")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("told %.100q", m.Data)
	}
	return n
}

// TestDropOldest: who reads too slowly is told of every gap, has all the rest in order, and stays.
func TestDropOldest(t *testing.T) {
	for _, kind := range streams() {
		if wires[kind].noID { // it can't be told of a gap
			continue
		}
		t.Run(kind, func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) {
				o.Rules = rules(channel.Rule{Match: "public.**", Access: channel.Public, Slow: channel.DropOldest})
			})
			query := "channel=public.a&channel=public.b"
			c := w.hold(t, kind, query)
			w.waitHeld(t, 1)
			const messages = 2 * wiretest.KernelTakes / (16 << 10)
			w.flood(t, messages, 16<<10, "public.a", "public.b")
			s := w.keeper.Stats()
			if s.Skipped["drop_oldest"] == 0 || w.held() != 1 || s.Dropped["slow"] != 0 {
				t.Fatalf("%+v; want messages left out, and nobody dropped", s)
			}
			if s.SendQueue > 64<<10+20<<10 {
				t.Errorf("%d bytes wait; push.send_queue is 64 kB", s.SendQueue)
			}
			ids := map[string]int{} // of the last message of each channel
			gaps, has, next := map[string]bool{}, 0, [2]int{0, 1}
			for {
				m := c.recv()
				if m.Type == "gap" {
					gaps[m.Channel] = true
					continue
				}
				if m.Type != "message" {
					continue
				}
				n := numberOf(t, m)
				channel := []string{"public.a", "public.b"}[n%2]
				switch want := next[n%2]; {
				case n < want:
					t.Fatalf("%d after %d", n, want-2)
				case n > want && !gaps[channel]:
					t.Fatalf("%d comes after %d of %s, and no gap was told", n, want-2, channel)
				case n > want:
					gaps[channel] = false
				}
				has, next[n%2] = has+1, n+2
				ids[channel] = n
				if n == messages-1 {
					break
				}
			}
			if got := int64(has) + s.Skipped["drop_oldest"]; got != messages {
				t.Errorf("%d messages and %d left out; want %d together", has, s.Skipped["drop_oldest"], messages)
			}
			wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
			w.publish(t, "7 more", "public.a")
			if m := c.recv(); m.Type != "message" || !strings.HasPrefix(m.Data, "7 ") {
				t.Errorf("told %+v; want the next message", m)
			}
		})
	}
}

// TestLatestOnly: a slow reader has the newest message of each channel, and what was under way before.
func TestLatestOnly(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) {
				o.Rules = rules(channel.Rule{Match: "public.**", Access: channel.Public, Slow: channel.LatestOnly})
			})
			c := w.hold(t, kind, "channel=public.a&channel=public.b")
			w.waitHeld(t, 1)
			const messages = 2 * wiretest.KernelTakes / (16 << 10)
			w.flood(t, messages, 16<<10, "public.a", "public.b")
			s := w.keeper.Stats()
			if s.SendQueue > 3*(20<<10) {
				t.Errorf("%d bytes wait; want one message of each channel, and the rest of one", s.SendQueue)
			}
			last, has := -1, 0
			for last < messages-1 {
				m := c.recv()
				if m.Type != "message" {
					t.Fatalf("told %+v", m)
				}
				n := numberOf(t, m)
				if n <= last {
					t.Fatalf("%d after %d", n, last)
				}
				if last = n; n == messages-1 && has == 0 {
					t.Error("only the newest came")
				}
				has++
			}
			if got := int64(has) + s.Skipped["latest_only"]; got != messages || s.Skipped["latest_only"] == 0 {
				t.Errorf("%d messages and %d left out; want %d together", has, s.Skipped["latest_only"], messages)
			}
			wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
		})
	}
}

// TestDropOldestOfRawWebSocket: a WebSocket without subprotocol cannot be told of a gap, so it is closed.
func TestDropOldestOfRawWebSocket(t *testing.T) {
	w := start(t, func(o *upgrade.Options) {
		o.Rules = rules(channel.Rule{Match: "public.**", Access: channel.Public, Slow: channel.DropOldest})
	})
	c := w.hold(t, "websocket", "channel=public.a")
	w.waitHeld(t, 1)
	w.flood(t, 2*wiretest.KernelTakes/(16<<10), 16<<10, "public.a")
	wiretest.Eventually(t, "it is dropped", func() bool { return w.keeper.Stats().Dropped["slow"] == 1 })
	if _, reset := c.Rest(); !reset {
		t.Error("the stream ends as if it were complete; want a reset")
	}
}

// TestSharedSendQueue: a message that many clients wait for counts once, so that a large one does not close those who
// read.
func TestSharedSendQueue(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		const clients, size = 6, wiretest.KernelTakes // together more than the total
		w := start(t, func(o *upgrade.Options) { o.SendQueueTotal = 3 * size })
		var list []*client
		for range clients {
			list = append(list, w.hold(t, kind, "channel=public.a"))
		}
		w.waitHeld(t, clients)
		r, err := w.hub.Publish([]hub.Draft{{Channels: []string{"public.a"}, Data: []byte(strings.Repeat("x", size)), Track: true}})
		if err != nil {
			t.Fatal(err)
		}
		<-r[0].Track.Done()
		if took, waits := r[0].Track.Counts(); took != 0 || waits != clients {
			t.Errorf("%d have it and %d wait; want all to wait", took, waits)
		}
		if n := w.keeper.Stats().SendQueue; n < size || n > 2*(size+size/8) {
			t.Errorf("%d bytes wait; want those of one message, once for each of 2 loops", n)
		}
		for _, c := range list {
			if m := c.recv(); m.Type != "message" || len(m.Data) != size {
				t.Fatalf("told %s of %d bytes", m.Type, len(m.Data))
			}
		}
		wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
	})
}

// TestReplayIsNotSlow: what a client catches up on may be more than an outbox.
func TestReplayIsNotSlow(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		first := w.publish(t, "first", "public.a")
		const messages = 2 * wiretest.KernelTakes / (16 << 10) // more than an outbox of 64 kB
		for i := range messages {
			w.publish(t, fmt.Sprint(i, " ", strings.Repeat("x", 16<<10)), "public.a")
		}
		c := w.hold(t, kind, "channel=public.a&last_id="+first)
		for i := range messages {
			if n := numberOf(t, c.recv()); n != i {
				t.Fatalf("%d; want %d", n, i)
			}
		}
		wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
	})
}

// TestTrack: a publisher learns how many sockets took its message.
func TestTrack(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		for range 5 {
			w.hold(t, kind, "channel=public.a")
		}
		w.waitHeld(t, 5)
		r, err := w.hub.Publish([]hub.Draft{{Channels: []string{"public.a", "public.b"}, Data: []byte("x"), Track: true}})
		if err != nil {
			t.Fatal(err)
		}
		<-r[0].Track.Done()
		if took, waits := r[0].Track.Counts(); took != 5 || waits != 0 {
			t.Errorf("%d have it and %d wait; want 5 and 0", took, waits)
		}
	})
}

// TestStalledWithoutHeartbeat: a client that takes nothing is closed also where no heartbeat is due, and one that has taken
// all stays.
func TestStalledWithoutHeartbeat(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t, func(o *upgrade.Options) { o.Heartbeat, o.Stall = 0, 50*time.Millisecond })
		w.hold(t, kind, "channel=public.a") // and reads nothing
		quiet := w.hold(t, kind, "channel=public.b")
		w.waitHeld(t, 2)
		w.publish(t, strings.Repeat("x", wiretest.KernelTakes), "public.a")
		wiretest.Eventually(t, "its queue is released", func() bool { return w.keeper.Stats().SendQueue == 0 })
		w.publish(t, "later", "public.b")
		quiet.expect("later")
	})
}

// TestSlowPolicyOfSeveralChannels: what is published to several channels of a client is dropped only if all of their rules
// say so, is superseded only by what all of them have, and is a gap on each of them.
func TestSlowPolicyOfSeveralChannels(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) {
				o.SendQueue, o.SendQueueTotal = wiretest.KernelTakes+64<<10, 1<<30
				o.Rules = rules(
					channel.Rule{Match: "public.latest.*", Access: channel.Public, Slow: channel.LatestOnly},
					channel.Rule{Match: "public.oldest.*", Access: channel.Public, Slow: channel.DropOldest},
				)
			})
			c := w.hold(t, kind, "channel=public.a&channel=public.latest.a&channel=public.latest.b")
			d := w.hold(t, kind, "channel=public.oldest.a&channel=public.oldest.b")
			w.waitHeld(t, 2)
			w.publish(t, strings.Repeat("x", wiretest.KernelTakes), "public.a", "public.oldest.a")
			for i, channels := range [][]string{
				{"public.latest.a", "public.a"}, {"public.latest.a", "public.latest.b"}, {"public.latest.a"},
				{"public.latest.a"}, {"public.latest.b", "public.latest.a"},
			} {
				w.publish(t, fmt.Sprint(i), channels...)
				wiretest.Eventually(t, "it is delivered", func() bool { return w.hub.Stats().Backlog == 0 })
			}
			c.recv()
			c.expect("0", "4") // 1 was not superseded by 2 alone, but is by 4
			if wires[kind].noID {
				return // it can't be told of a gap
			}
			w.flood(t, 8, 16<<10, "public.oldest.a", "public.oldest.a public.oldest.b")
			gaps := map[string]bool{}
			for last := false; !last; {
				m := d.recv()
				if m.Type == "gap" {
					gaps[m.Channel] = true
				}
				last = strings.HasPrefix(m.Data, "7 ")
			}
			if !gaps["public.oldest.a"] || !gaps["public.oldest.b"] {
				t.Errorf("gaps on %v; want them on both channels", gaps)
			}
		})
	}
}
