package upgrade_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

func TestHoldPublishReceive(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		c := w.hold(t, kind, "channel=public.a&channel=public.b")
		w.waitHeld(t, 1)
		w.publish(t, "one", "public.a")
		c.expect("one")
		if wires[kind].asksAgain {
			c.poll()
			w.waitHeld(t, 1)
		}
		w.publish(t, "not for it", "public.c")
		id := w.publish(t, "two\nlines\r\nthree", "public.b", "public.a")
		m := c.recv()
		want := "two\nlines\r\nthree"
		if wires[kind].oneLineEnd {
			want = "two\nlines\nthree" // a stream has one line end
		}
		if m.Data != want || !wires[kind].noID && m.ID != id {
			t.Fatalf("told %+v; want %q with id %s, once", m, want, id)
		}
		w.publish(t, "last", "public.b")
		c.expect("last")
	})
}

// TestData: what is published arrives as it is, or in the form that the kind has for it.
func TestData(t *testing.T) {
	binary := "\x00\xff\xfe"
	for _, tt := range []struct {
		name  string
		draft hub.Draft
		raw   string // WebSocket without subprotocol
		sse   string // lines after id
		json  string // members of a long poll's message after channel
	}{
		{"text", hub.Draft{Data: []byte("hällo \u2028")}, "hällo \u2028", "data: hällo \u2028\n", `"data":"hällo \u2028"`},
		{"empty", hub.Draft{Data: nil}, "", "data: \n", `"data":""`},
		{"lone CR and NUL", hub.Draft{Data: []byte("a\rb\x00\rid: 7")}, "a\rb\x00\rid: 7", "data: a\ndata: b\x00\ndata: id: 7\n", `"data":"a\rb\u0000\rid: 7"`},
		{"ends in a line end", hub.Draft{Data: []byte("a\n")}, "a\n", "data: a\ndata: \n", `"data":"a\n"`},
		{"event", hub.Draft{Data: []byte("x"), Event: "moved"}, "x", "event: moved\ndata: x\n", `"event":"moved","data":"x"`},
		{"JSON", hub.Draft{Data: []byte(`{"a":[1,2]}`), JSON: true}, `{"a":[1,2]}`, "data: {\"a\":[1,2]}\n", `"data":{"a":[1,2]}`},
		{"binary", hub.Draft{Data: []byte(binary)}, binary, "data: AP/+\n", `"data":"AP/+","encoding":"base64"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			var clients []*client
			for _, kind := range []string{"websocket", "websocket v1", "sse", "longpoll"} {
				clients = append(clients, w.hold(t, kind, "channel=public.a"))
			}
			w.waitHeld(t, 4)
			tt.draft.Channels = []string{"public.a"}
			r, err := w.hub.Publish([]hub.Draft{tt.draft})
			if err != nil {
				t.Fatal(err)
			}
			id := r[0].ID.String()
			op, payload, err := readFrame(clients[0].Reader)
			if wantOp := map[bool]byte{true: 2, false: 1}[tt.name == "binary"]; err != nil || string(payload) != tt.raw || op != wantOp {
				t.Errorf("WebSocket: %d %q %v; want %d %q", op, payload, err, wantOp, tt.raw)
			}
			object := `"id":"` + id + `","channel":"public.a",` + tt.json
			_, payload, err = readFrame(clients[1].Reader)
			if want := `{"type":"message",` + object + "}"; err != nil || !sameJSON(string(payload), want) {
				t.Errorf("v1: %s %v; want %s", payload, err, want)
			}
			clients[2].Expect("id: " + id + "\n" + tt.sse + "\n")
			_, body := clients[3].Response(http.MethodGet)
			if want := `{"messages":[{` + object + `}],"next":"` + id + `"}`; !sameJSON(body, want) {
				t.Errorf("long poll: %s; want %s", body, want)
			}
		})
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// TestResume: who comes back with the last id gets what it missed, once and in order; without one, what
// comes from now on.
func TestResume(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		var ids []string
		for i := range 5 {
			ids = append(ids, w.publish(t, fmt.Sprint("m", i), "public.a"))
		}
		w.publish(t, "b0", "public.b")
		for name, c := range map[string]*client{
			"query":  w.hold(t, kind, "channel=public.a&channel=public.b&last_id="+ids[2]),
			"header": w.hold(t, kind, "channel=public.a&channel=public.b", "Last-Event-ID: "+ids[2]),
		} {
			t.Run(name, func(t *testing.T) {
				c.fields = nil
				c.target = "/_push?channel=public.a&channel=public.b"
				c.expect("m3", "m4", "b0")
			})
		}
		fresh := w.hold(t, kind, "channel=public.a")
		before := w.held()
		wiretest.Eventually(t, "it is held", func() bool { i, _ := w.hub.Channel("public.a"); return i.Subscribers > 0 && w.held() >= before })
		if wires[kind].asksAgain {
			w.waitHeld(t, 1) // the others were answered
		}
		w.publish(t, "new", "public.a")
		fresh.expect("new")
	})
}

// TestGap: history does not reach back, and the client is told.
func TestGap(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		first := w.publish(t, "m0", "old.a")
		for i := 1; i < 5; i++ {
			w.publish(t, fmt.Sprint("m", i), "old.a")
		}
		c := w.hold(t, kind, "channel=old.a&last_id="+first)
		m := c.recv()
		if wires[kind].noID {
			if m.Type != "close" || m.Code != 4000 || !strings.Contains(m.Data, "gap") {
				t.Fatalf("told %+v; want a close with 4000", m)
			}
			return
		}
		if m.Type != "gap" || m.Channel != "old.a" {
			t.Fatalf("told %+v; want a gap of old.a", m)
		}
		c.expect("m3", "m4")
	})
}

func TestOrigins(t *testing.T) {
	for _, tt := range []struct {
		origin string
		ok     bool
	}{
		{"", true},
		{"Origin: http://app.test", true},
		{"Origin: HTTP://APP.TEST", true},
		{"Origin: http://app.test:80", true},
		{"Origin: https://app.test", false},
		{"Origin: http://app.test:8080", false},
		{"Origin: http://app.test.", false},
		{"Origin: http://sub.app.test", false},
		{"Origin: http://app.test.evil.test", false},
		{"Origin: http://evil.test", false},
		{"Origin: null", false},
		{"Origin: app.test", false},
		{"Origin: http://app.test, http://evil.test", false},
		{"Origin: https://friend.test", true}, // listed
		{"Origin: http://friend.test", false},
		{"Origin: http://evilapp.test", false},
		{"Origin: http://app.test@evil.test", false},
		{"Origin: http://app.test/", false},
		{"Origin: http://app.test:", false},
		{"Origin: http://app.test:080", false},
		{"Origin: ws://app.test", false},
		{"Origin: http://app.test\r\nOrigin: http://evil.test", false},
		{"Origin: http://evil.test\r\nOrigin: http://app.test", false},
		{"Origin: http://app.test\r\norigin: http://app.test", false},
		{"Origin: http://app.test\r\nOrigin: ", false},
		{"Origin: https://friend.test\r\nOrigin: http://evil.test", false},
		{"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site", false},
		{"Origin: file://", false},
		{"Origin: http://app.test\r\nSec-Fetch-Site: same-origin", true},
		{"Sec-Fetch-Site: cross-site", false},
		{"Sec-Fetch-Site: same-site", false}, // a sub-domain, or another port
		{"Sec-Fetch-Site: none", true},       // typed by a person
		{"Sec-Fetch-Site: same-origin", true},
	} {
		t.Run(tt.origin, func(t *testing.T) {
			run(t, func(t *testing.T, kind string) {
				w := start(t, func(o *upgrade.Options) { o.Origins = []string{"https://friend.test"} })
				c := wiretest.Dial(t, w.addr)
				target := "/_push?channel=public.a"
				if wires[kind].asksAgain {
					target += "&wait=0"
				}
				fields := []string{tt.origin}
				if tt.origin == "" {
					fields = nil
				}
				c.Send(request(kind, target, fields...))
				resp, err := http.ReadResponse(c.Reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				if ok := resp.StatusCode < 300; ok != tt.ok || !ok && resp.StatusCode != 403 {
					t.Errorf("answered %d", resp.StatusCode)
				}
				allowed := resp.Header.Get("Access-Control-Allow-Origin")
				if want := strings.TrimPrefix(tt.origin, "Origin: "); strings.Contains(tt.origin, "friend") && tt.ok && !wires[kind].upgrades {
					if allowed != want || resp.Header.Get("Vary") != "Origin" {
						t.Errorf("Access-Control-Allow-Origin %q, Vary %q", allowed, resp.Header.Get("Vary"))
					}
				} else if allowed != "" && !tt.ok {
					t.Errorf("Access-Control-Allow-Origin %q for a stranger", allowed)
				}
			})
		})
	}
}

// TestHeartbeat: a silent connection shows life, and a WebSocket that does not answer is dropped.
func TestHeartbeat(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			every := 100 * time.Millisecond
			if wires[kind].upgrades { // who is late with the answer to a heartbeat is gone at the next one
				every = time.Hour
			}
			w := start(t, func(o *upgrade.Options) { o.Heartbeat = every })
			c := w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 1)
			for range 3 {
				if wires[kind].upgrades {
					w.expire()
				}
				wires[kind].beat(c)
				if wires[kind].upgrades { // what is read in order is read: the answer, too
					c.Send(frame(true, 9, nil))
					for op := byte(0); op != 10; {
						var err error
						if op, _, err = readFrame(c.Reader); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if w.held() != 1 {
				t.Error("it is not held any more")
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		w := start(t, func(o *upgrade.Options) { o.Heartbeat = 100 * time.Millisecond })
		c := w.hold(t, "websocket", "channel=public.a")
		if _, reset := c.Rest(); !reset {
			t.Error("closed politely; want a reset, as nobody is there")
		}
		if n := w.keeper.Stats().Dropped["pong_timeout"]; n != 1 || w.held() != 0 {
			t.Errorf("%d counted, %d held", n, w.held())
		}
	})
}

// TestClientGone: a client that leaves is forgotten, however it does.
func TestClientGone(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		for _, how := range []string{"FIN", "RST", "half"} {
			c := w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 1)
			tcp := wiretest.TCP(c.Conn)
			switch how {
			case "RST":
				tcp.SetLinger(0)
				tcp.Close()
			case "FIN":
				tcp.Close()
			case "half":
				tcp.CloseWrite()
			}
			w.waitHeld(t, 0)
			if _, ok := w.hub.Channel("public.a"); ok {
				t.Errorf("%s: the channel is still there", how)
			}
		}
		if n := w.keeper.Stats().Dropped["client_gone"]; n != 3 {
			t.Errorf("%d counted; want 3", n)
		}
	})
}

// TestSlowReader: it costs its outbox, is dropped and counted, and the others have everything.
func TestSlowReader(t *testing.T) {
	for _, kind := range streams() {
		t.Run(kind, func(t *testing.T) {
			w := start(t, func(o *upgrade.Options) { o.SendQueue = 256 << 10 })
			stuck := w.hold(t, kind, "channel=public.a")
			good := w.hold(t, kind, "channel=public.a")
			w.waitHeld(t, 2)
			payload := strings.Repeat("x", 32<<10)
			const messages = 2 * wiretest.KernelTakes / (32 << 10)
			var has atomic.Int64
			donec := make(chan struct{})
			go func() {
				defer close(donec)
				for has.Load() < messages {
					if m := good.recv(); m.Type != "message" || len(m.Data) != len(payload) {
						return
					}
					has.Add(1)
				}
			}()
			for i := range int64(messages) {
				w.publish(t, payload, "public.a")
				wiretest.Eventually(t, "the good one reads", func() bool { return i-has.Load() < 2 })
				if n := w.keeper.Stats().SendQueue; n > 2*(256<<10+64<<10) {
					t.Fatalf("%d bytes wait", n)
				}
			}
			<-donec
			if n := has.Load(); n != messages {
				t.Errorf("the good reader has %d messages; want %d", n, messages)
			}
			wiretest.Eventually(t, "the slow one is dropped", func() bool { return w.keeper.Stats().Dropped["slow"] == 1 && w.held() == 1 })
			if _, reset := stuck.Rest(); !reset {
				t.Error("the slow one's stream ends as if it were complete; want a reset")
			}
			wiretest.Eventually(t, "nothing waits", func() bool { return w.keeper.Stats().SendQueue == 0 })
		})
	}
}

func TestDrain(t *testing.T) {
	run(t, func(t *testing.T, kind string) {
		w := start(t)
		c := w.hold(t, kind, "channel=public.a")
		w.waitHeld(t, 1)
		w.keeper.Drain()
		wires[kind].drained(c)
		w.waitHeld(t, 0)
		late := wiretest.Dial(t, w.addr)
		late.Send(request(kind, "/_push?channel=public.a"))
		if resp, body := late.Response(http.MethodGet); wires[kind].postponed {
			wantPostponed(t, resp, body)
		} else if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a late one was answered %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	})
}
