//go:build linux && !park_plain

package upgrade_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/park"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// moveAll is move of connections that all move.
func (w *world) moveAll(t *testing.T, change ...func(*upgrade.Options)) *world {
	t.Helper()
	next, left := w.move(t, change...)
	if left > 0 {
		t.Fatalf("%d have not moved", left)
	}
	return next
}

// TestMoveToAnAppWithMessages: a client whose connection began without push.message_path has no login to send with its
// message, and is told so.
func TestMoveToAnAppWithMessages(t *testing.T) {
	for _, kind := range []string{"websocket", "websocket v1"} {
		t.Run(kind, func(t *testing.T) {
			w := start(t)
			c := w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 1)
			w = w.moveAll(t, func(o *upgrade.Options) {
				o.InFlight, o.Message = 4, func(auth.Request, appcall.ClientMessage) (appcall.Reply, error) {
					t.Error("it was posted")
					return appcall.Reply{}, nil
				}
			})
			if kind == "websocket" {
				c.say("hello")
				if m := c.recv(); m.Type != "close" || m.Code != 1008 || !strings.Contains(m.Data, "push.message_path") {
					t.Errorf("told %+v", m)
				}
				return
			}
			c.say(`{"type":"message","data":1}`)
			if m := c.recv(); m.Type != "error" || !strings.Contains(m.Data, "push.message_path") {
				t.Errorf("told %+v", m)
			}
			w.publish(t, "as ever", "public.a")
			c.expect("as ever")
		})
	}
}

// TestMoveGivenUpWithFullQueue: a client that is not read, as its messages wait for the app, is read again if the app answers
// while its connection was to move and did not.
func TestMoveGivenUpWithFullQueue(t *testing.T) {
	const messages = 20
	release, posted := make(chan struct{}), atomic.Int64{}
	w := start(t, func(o *upgrade.Options) {
		o.InFlight, o.Message = 4, func(auth.Request, appcall.ClientMessage) (appcall.Reply, error) {
			posted.Add(1)
			<-release
			return appcall.Reply{Status: 204, None: true}, nil
		}
	})
	c := w.hold(t, "websocket", "channel=public.a")
	for i := range messages {
		c.say(fmt.Sprint(i))
	}
	wiretest.Eventually(t, "the queue is full", func() bool { return w.keeper.Stats().ClientMessages >= 9 })
	v := upgrade.NewMover(w.keeper)
	go func() { // during Freeze
		time.Sleep(10 * time.Millisecond)
		close(release)
	}()
	if err := v.Queues().Freeze(); err != nil {
		t.Fatal(err)
	}
	if n := posted.Load(); n != 1 {
		t.Errorf("%d messages were posted; want no other one while it may move", n)
	}
	v.Queues().Thaw(false)
	wiretest.Eventually(t, "all messages are posted", func() bool { return posted.Load() == messages })
	w.publish(t, "as ever", "public.a")
	c.expect("as ever")
}

// TestPongWaitsForTheMove: a pong that has come while no client is read is no missing one.
func TestPongWaitsForTheMove(t *testing.T) {
	for _, moves := range []bool{false, true} {
		t.Run(fmt.Sprint(moves), func(t *testing.T) {
			w := start(t)
			c := w.hold(t, "websocket", "channel=public.a")
			w.waitHeld(t, 1)
			w.expire()
			if op, _, err := readFrame(c.Reader); op != 9 || err != nil {
				t.Fatal(op, err)
			}
			if !moves {
				v := upgrade.NewMover(w.keeper)
				if err := v.Queues().Freeze(); err != nil {
					t.Fatal(err)
				}
				c.Send(frame(true, 10, nil))
				w.expire()
				for _, l := range w.poller.Loops() {
					l.Do(func(done func()) { done() })()
				}
				v.Queues().Thaw(false)
			} else {
				w = w.moveAll(t) // the client answers later
				c.Send(frame(true, 10, nil))
			}
			w.publish(t, "as ever", "public.a")
			c.expect("as ever")
			if w.held() != 1 {
				t.Errorf("%d are held", w.held())
			}
		})
	}
}

// TestMoveWhileRenewing: an authorization that was being renewed is renewed by the other process at once, not at the next
// heartbeat.
func TestMoveWhileRenewing(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		askedc, release := make(chan struct{}, 9), make(chan struct{})
		defer close(release)
		asked := atomic.Int64{}
		w, d := guarded(t, func(o *upgrade.Options) {
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
				if asked.Add(1) > 1 {
					askedc <- struct{}{}
					<-release
				}
				return auth.Result{Allowed: true, User: "anna", Expires: time.Hour}, nil
			})
		})
		_ = d
		c := w.hold(t, kind, "channel=user.a", "Cookie: SID=a")
		w.waitHeld(t, 1)
		w.keeper.AskAgain(w.keeper.Credentials([][]byte{[]byte("SID=a")}, nil))
		<-askedc
		w = w.moveAll(t, func(o *upgrade.Options) {
			o.LogoutCookies = []string{"SID", "JSESSIONID"}
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return auth.Result{Status: 401}, nil })
		})
		if wires[kind].asksAgain { // the next request is refused
			if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || !strings.Contains(body, `"messages":[]`) {
				t.Errorf("answered %d %s", resp.StatusCode, body)
			}
			c.asked = false
		}
		c.over(401)
		w.waitHeld(t, 0)
	})
}

// TestMoveToHeartbeats: connections that began without heartbeats have them in a process with heartbeats.
func TestMoveToHeartbeats(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) { o.Heartbeat = 0 })
			c := w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 1)
			w.moveAll(t, func(o *upgrade.Options) { o.Heartbeat = 100 * time.Millisecond })
			for range 2 {
				wires[kind].beat(c)
			}
		})
	}
}

// TestMoveToNoWildcards: a pattern that the other process does not allow ends its connection, and no other.
func TestMoveToNoWildcards(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		goes, stays := w.hold(t, kind, "channel=public.*"), w.hold(t, kind, "channel=public.a")
		w.waitHeld(t, 2)
		w = w.moveAll(t, func(o *upgrade.Options) {
			o.Rules = channel.Compile([]channel.Rule{{Match: "public.**", Access: channel.Public}})
		})
		wires[kind].over(goes, 403)
		w.publish(t, "as ever", "public.a")
		stays.expect("as ever")
	})
}

// TestMoveOfDecision: a request that the app decides while connections move is decided by the process that has them.
func TestMoveOfDecision(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		askedc, release := make(chan struct{}), make(chan struct{})
		backc := make(chan string, 1)
		w := start(t, func(o *upgrade.Options) {
			o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) {
				askedc <- struct{}{}
				<-release
				return auth.Result{Allowed: true}, nil
			})
			o.Resume = func(c *park.Conn, rest []byte, more bool) {
				if !more {
					t.Error("what the client sends next would not be read")
				}
				backc <- string(rest)
				c.Close()
			}
		})
		c := wiretest.Dial(t, w.addr)
		sent := request(kind, "/_push?channel=user.a&channel=public.a")
		c.Send(sent)
		<-askedc
		if _, left := w.move(t); left != 1 {
			t.Errorf("%d have not moved; want the one that is being decided", left)
		}
		close(release)
		if got := <-backc; got != sent {
			t.Errorf("given back with %q; want %q", got, sent)
		}
		if n := w.held(); n != 0 {
			t.Errorf("%d are held by a process that has no channels", n)
		}
		if _, err := c.Reader.ReadByte(); err == nil {
			t.Error("something was sent")
		}
	})
}

// TestMoveOfClosing: a connection whose close handshake is half done stays, and ends as ever.
func TestMoveOfClosing(t *testing.T) {
	for _, kind := range []string{"websocket", "websocket v1"} {
		for _, byClient := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, byClient), func(t *testing.T) {
				w := start(t)
				c := w.hold(t, kind, "channel=public.a")
				w.waitHeld(t, 1)
				if byClient {
					c.Send(frame(true, 8, []byte("\x03\xe8")))
				} else if n := w.keeper.Disconnect(connection.Selection{Channel: "public.a"}, 4403, "bye"); n != 1 {
					t.Fatal(n)
				}
				w.waitHeld(t, 0)
				if next, _ := w.move(t); next.held() != 0 {
					t.Errorf("%d are held", next.held())
				}
				want := 1000
				if !byClient {
					want = 4403
				}
				if m := c.recv(); m.Type != "close" || m.Code != want {
					t.Errorf("told %+v; want a close with %d", m, want)
				}
				if !byClient {
					c.Send(frame(true, 8, []byte("\x11\x33")))
				}
				if m := c.recv(); m.Type != "end" {
					t.Errorf("told %+v; want the end", m)
				}
			})
		}
	}
}

// TestMoveOfFragmentsAndDeflate: fragments of a compressed message, and of one that is not, come before and after a move,
// and messages to the client are compressed as before.
func TestMoveOfFragmentsAndDeflate(t *testing.T) {
	for _, kind := range []string{"websocket", "websocket v1"} {
		for _, compressed := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, compressed), func(t *testing.T) {
				gotc := make(chan string, 1)
				open := func(o *upgrade.Options) {
					compressing(o)
					o.InFlight, o.Message = 4, func(_ auth.Request, m appcall.ClientMessage) (appcall.Reply, error) {
						gotc <- string(m.Data)
						return appcall.Reply{Status: 204, None: true}, nil
					}
				}
				w := start(t, open)
				c := w.holdDeflate(t, kind, "channel=public.a")
				w.waitHeld(t, 1)
				data, first := `"`+strings.Repeat("the parcel is on its way; ", 20)+`"`, byte(1)
				text := data
				if kind == "websocket v1" {
					text = `{"type":"message","data":` + data + `}`
				}
				body := []byte(text)
				if compressed {
					body, first = deflated(text), 0x41
				}
				third := len(body) / 3
				c.Send(frame(false, first, body[:third]))
				w = w.moveAll(t, open)
				c.Send(frame(false, 0, body[third:2*third]))
				c.Send(frame(true, 0, body[2*third:])[:3])
				w = w.moveAll(t, open)
				c.Send(frame(true, 0, body[2*third:])[3:])
				if got := <-gotc; got != data {
					t.Errorf("the app has %q; want %q", got, data)
				}
				w.publish(t, strings.Repeat("long ", 100), "public.a")
				if first, p := readAnyFrame(t, c); first != 0xc1 || !strings.Contains(inflated(t, p), "long long") {
					t.Errorf("frame %x %q", first, p)
				}
			})
		}
	}
}

// TestMoveOfReplay: messages that a client has missed and that wait until it reads do not count towards its queue, in
// whichever process, so it is not closed as slow, and has all.
func TestMoveOfReplay(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t)
			const messages = 2 * wiretest.KernelTakes / (16 << 10)
			first := w.publish(t, "first", "public.a")
			w.flood(t, messages, 16<<10, "public.a")
			c := w.hold(t, kind, "channel=public.a&last_id="+first)
			wiretest.Eventually(t, "messages wait", func() bool { return w.keeper.Stats().SendQueue > 64<<10 })
			for range 2 {
				w = w.moveAll(t)
				w.publish(t, "-1 live", "public.a")
			}
			for n := 0; n < messages; {
				if m := c.recv(); m.Type == "message" {
					if got := numberOf(t, m); got != n {
						t.Fatalf("%d, and %d is next", got, n)
					}
					n++
				}
			}
			c.expect("-1 live", "-1 live")
		})
	}
}

// TestMoveOfSlowPolicies: what a slow client does not get, and what it is told of that, is the same if it moves meanwhile.
func TestMoveOfSlowPolicies(t *testing.T) {
	for _, policy := range []channel.Slow{channel.DropOldest, channel.LatestOnly} {
		for _, kind := range streams() {
			if wires[kind].noID {
				continue
			}
			t.Run(string(policy)+"/"+kind, func(t *testing.T) {
				slow := func(o *upgrade.Options) {
					o.Rules = rules(channel.Rule{Match: "public.**", Access: channel.Public, Slow: policy})
				}
				w := start(t, slow)
				c := w.hold(t, kind, "channel=public.a&channel=public.b")
				w.waitHeld(t, 1)
				const messages = wiretest.KernelTakes / (16 << 10)
				total, skipped := 0, int64(0)
				for range 3 {
					for i := range messages {
						w.publish(t, fmt.Sprint(total+i, " ", strings.Repeat("x", 16<<10)), []string{"public.a", "public.b"}[i%2])
						wiretest.Eventually(t, "it is delivered", func() bool { return w.hub.Stats().Backlog == 0 })
					}
					total += messages
					s := w.keeper.Stats()
					skipped += s.Skipped[string(policy)]
					w = w.moveAll(t, slow)
				}
				if skipped == 0 {
					t.Fatal("nothing was dropped")
				}
				got, last, gap := int64(0), -1, false
				for last < total-1 {
					switch m := c.recv(); m.Type {
					case "gap":
						gap = true
					case "message":
						n := numberOf(t, m)
						if n <= last || n != last+1 && !gap && policy == channel.DropOldest {
							t.Fatalf("%d after %d, gap %t", n, last, gap)
						}
						got, last, gap = got+1, n, false
					}
				}
				if got+skipped != int64(total) {
					t.Errorf("%d messages and %d dropped; want %d together", got, skipped, total)
				}
				wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
			})
		}
	}
}

// TestMoveOfResponse: the response of a long poll that its client does not read moves with it, and the next request on the
// connection is served.
func TestMoveOfResponse(t *testing.T) {
	bigger := func(o *upgrade.Options) { o.SendQueue = 64 << 20 }
	w := start(t, bigger)
	const messages = 2 * wiretest.KernelTakes / (16 << 10)
	first := w.publish(t, "first", "public.a")
	w.flood(t, messages, 16<<10, "public.a")
	c := wiretest.Dial(t, w.addr)
	c.Send(request("longpoll", "/_push?channel=public.a&last_id="+first))
	wiretest.Eventually(t, "the response waits", func() bool { return w.keeper.Stats().SendQueue > 0 })
	c.Send(request("longpoll", "/_push?channel=public.a")) // the next request is early
	for range 2 {
		w = w.moveAll(t, bigger)
	}
	resp, body := c.Response(http.MethodGet)
	if n := strings.Count(body, `"id"`); resp.StatusCode != 200 || n != messages {
		t.Errorf("answered %d, with %d messages; want %d", resp.StatusCode, n, messages)
	}
	w.waitHeld(t, 1)
	w.publish(t, "next", "public.a")
	if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || !strings.Contains(body, "next") {
		t.Errorf("answered %d %.200s", resp.StatusCode, body)
	}
}

// TestMoveOfDeadlines: tokens expire, and polls end, at the times that they had.
func TestMoveOfDeadlines(t *testing.T) {
	w := start(t)
	c := wiretest.Dial(t, w.addr)
	c.Send(request("longpoll", "/_push?channel=public.a&wait=1"))
	w.waitHeld(t, 1)
	w.moveAll(t)
	if resp, body := c.Response(http.MethodGet); resp.StatusCode != 200 || !strings.Contains(body, `"messages":[]`) {
		t.Errorf("answered %d %s; want an empty list", resp.StatusCode, body)
	}
	for _, kind := range streams() {
		w := start(t, tokens)
		c := w.hold(t, kind, "channel=signed.a&token="+sign(5*time.Second, `,"aud":"push","sub":"anna","channels":["signed.a"]`))
		w.waitHeld(t, 1)
		w = w.moveAll(t, tokens)
		c.over(401)
		w.waitHeld(t, 0)
	}
}

// TestMoveOfUserLimit: the connection that gives way to a newer one of its user is the oldest, also after moves.
func TestMoveOfUserLimit(t *testing.T) {
	limited := func(o *upgrade.Options) {
		o.MaxPerUser = 4
		o.Authorizer = askFunc(func(auth.Request) (auth.Result, error) { return auth.Result{Allowed: true, User: "ann"}, nil })
	}
	w := start(t, limited)
	var clients []*client
	for i := range int64(4) {
		clients = append(clients, w.hold(t, "websocket", "channel=user.a"))
		w.waitHeld(t, i+1)
	}
	w = w.moveAll(t, limited)
	w.hold(t, "websocket", "channel=user.a")
	clients[0].over(429)
	w.waitHeld(t, 4)
	w.publish(t, "as ever", "user.a")
	for _, c := range clients[1:] {
		c.expect("as ever")
	}
}

// TestMoveWithoutChannels: a client that has left all channels may still join others.
func TestMoveWithoutChannels(t *testing.T) {
	w := start(t)
	c := w.hold(t, "websocket v1", "channel=public.a")
	c.say(`{"type":"unsubscribe","channels":["public.a"]}`)
	c.told(`"unsubscribed"`)
	for range 2 {
		w = w.moveAll(t)
	}
	w.publish(t, "of no concern", "public.a")
	c.say(`{"type":"subscribe","channels":["public.b"]}`)
	c.told(`"subscribed","channels":["public.b"]`)
	w.publish(t, "x", "public.b")
	c.expect("x")
}

// TestHeldIsNotPassedLater: a connection that has not moved with the others would miss what was published since, so it does
// not move later, but ends with its process, and its client resumes.
func TestHeldIsNotPassedLater(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		c := w.hold(t, kind, "channel=public.a")
		w.waitHeld(t, 1)
		v, frozen, _ := w.freeze(t)
		v.Leave()
		frozen.Thaw()
		v.Queues().Thaw(true)
		for _, l := range w.poller.Loops() {
			l.Do(func(done func()) {
				l.Each(func(c *park.Conn) {
					if _, ok := v.Export(c, nil); ok {
						t.Error("it would move")
					}
				})
				done()
			})()
		}
		w.keeper.Drain()
		wires[kind].drained(c)
	})
}
