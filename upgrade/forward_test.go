package upgrade_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/wiretest"
	"holdfast/upgrade"
)

// postbox is an app that is posted messages.
type postbox struct {
	mu     sync.Mutex // guards what follows
	got    []appcall.ClientMessage
	asked  []auth.Request
	now    int // posts under way
	most   int
	hold   chan struct{} // closed: answers go on
	answer func(appcall.ClientMessage) (appcall.Reply, error)
}

func (b *postbox) post(q auth.Request, m appcall.ClientMessage) (appcall.Reply, error) {
	b.mu.Lock()
	b.got, b.asked = append(b.got, m), append(b.asked, q)
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	defer func() { b.mu.Lock(); b.now--; b.mu.Unlock() }()
	b.mu.Lock()
	hold, answer := b.hold, b.answer
	b.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return answer(m)
}

func (b *postbox) answers(f func(appcall.ClientMessage) (appcall.Reply, error)) {
	b.mu.Lock()
	b.answer = f
	b.mu.Unlock()
}

func (b *postbox) open(o *upgrade.Options) { o.Message, o.InFlight = b.post, 4 }

func echo(m appcall.ClientMessage) (appcall.Reply, error) {
	return appcall.Reply{Status: 200, Data: m.Data, JSON: m.JSON, Binary: m.Binary}, nil
}

// TestMessage: what a client says is posted with its login, and the answer comes back with the ref.
func TestMessage(t *testing.T) {
	b := &postbox{answer: echo}
	w := start(t, b.open)
	c := w.hold(t, "websocket v1", "channel=public.a", "Cookie: sid=1")
	c.say(`{"type":"message","data":{"text":"hi","n":[1,2]},"ref":7}`)
	c.told(`{"type":"reply","ref":7,"data":{"text":"hi","n":[1,2]}}`)
	c.say(`{"type":"message","data":"x"}`)
	c.told(`{"type":"reply","data":"x"}`)
	b.answers(func(appcall.ClientMessage) (appcall.Reply, error) { return appcall.Reply{Status: 204, None: true}, nil })
	c.say(`{"type":"message","data":null,"ref":"a"}`)
	c.told(`{"type":"reply","ref":"a"}`)
	c.say(`{"type":"message","data":1}`) // and nothing comes back
	wiretest.Eventually(t, "it is posted", func() bool { return w.keeper.Stats().Posted == 4 })
	b.answers(func(appcall.ClientMessage) (appcall.Reply, error) {
		return appcall.Reply{Status: 200, Data: []byte("a\xff"), Binary: true}, nil
	})
	c.say(`{"type":"message","data":2}`)
	c.told(`{"type":"reply","data":"Yf8=","encoding":"base64"}`)
	b.answers(func(appcall.ClientMessage) (appcall.Reply, error) {
		return appcall.Reply{Status: 422, Data: []byte("secret")}, nil
	})
	c.say(`{"type":"message","data":3,"ref":9}`)
	c.told(`{"type":"error","status":422,"error":"the app answered 422","ref":9}`)
	b.answers(func(appcall.ClientMessage) (appcall.Reply, error) { return appcall.Reply{}, errors.New("secret") })
	c.say(`{"type":"message","data":4}`)
	c.told(`{"type":"error","status":503,"error":"the app has not answered; it may have taken the message"}`)
	for _, known := range []error{appcall.ErrReplyTooLarge, appcall.ErrReplyInvalid, appcall.ErrReplyCut} {
		b.answers(func(appcall.ClientMessage) (appcall.Reply, error) {
			return appcall.Reply{}, fmt.Errorf("secret: %w", known)
		})
		c.say(`{"type":"message","data":5,"ref":1}`)
		c.told(`{"type":"error","status":502,"error":"` + known.Error() + `","ref":1}`)
	}
	b.answers(func(appcall.ClientMessage) (appcall.Reply, error) { return appcall.Reply{Status: 200}, nil })
	c.say(`{"type":"message","data":6}`) // and nothing comes back
	c.say(`{"type":"message","data":7,"ref":2}`)
	c.told(`{"type":"reply","ref":2,"data":""}`)
	c.say(`{"type":"ping"}`)
	c.told(`{"type":"pong"}`)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, want := range []string{`{"text":"hi","n":[1,2]}`, `"x"`, `null`, `1`, `2`, `3`, `4`, `5`, `5`, `5`, `6`, `7`} {
		if m := b.got[i]; string(m.Data) != want || !m.JSON || m.Connection == "" || b.asked[i].Cookie != "sid=1" {
			t.Errorf("posted %+v of %+v; want %s", m, b.asked[i], want)
		}
	}
	if s := w.keeper.Stats(); s.Posted != 12 || s.PostErrors != 4 {
		t.Errorf("counted %d posted and %d failed", s.Posted, s.PostErrors)
	}
}

// TestMessageRaw: without the subprotocol a frame is a message, and the answer is a frame.
func TestMessageRaw(t *testing.T) {
	b := &postbox{answer: echo}
	w := start(t, b.open)
	c := w.hold(t, "websocket", "channel=public.a")
	c.say("two ", "pieces")
	c.expect("two pieces")
	c.Send(frame(true, 2, []byte("\x00\xff")))
	if op, p, err := readFrame(c.Reader); op != 2 || string(p) != "\x00\xff" || err != nil {
		t.Errorf("answered %d %q %v", op, p, err)
	}
	c.Send(frame(true, 2, []byte("text")))
	if op, p, err := readFrame(c.Reader); op != 2 || string(p) != "text" || err != nil {
		t.Errorf("a binary frame of text is answered %d %q %v", op, p, err)
	}
	c.say("")
	if op, p, err := readFrame(c.Reader); op != 1 || len(p) > 0 || err != nil {
		t.Errorf("an empty frame is answered %d %q %v", op, p, err)
	}
	b.answers(func(m appcall.ClientMessage) (appcall.Reply, error) {
		return appcall.Reply{Status: 200, Data: m.Data, None: string(m.Data) == "none"}, nil
	})
	c.say("none")
	c.Send(frame(true, 2, []byte("text for bytes")))
	if op, p, err := readFrame(c.Reader); op != 1 || string(p) != "text for bytes" || err != nil {
		t.Errorf("after a message without answer: %d %q %v", op, p, err)
	}
	for _, tt := range []struct {
		reply appcall.Reply
		err   error
		code  int
	}{{appcall.Reply{Status: 500}, nil, 1011}, {appcall.Reply{Status: 403}, nil, 4403}, {appcall.Reply{}, errors.New("x"), 1011}, {appcall.Reply{}, appcall.ErrReplyTooLarge, 1011}} {
		b.answers(func(appcall.ClientMessage) (appcall.Reply, error) { return tt.reply, tt.err })
		c := w.hold(t, "websocket", "channel=public.a")
		c.say("x")
		if m := c.recv(); m.Type != "close" || m.Code != tt.code {
			t.Errorf("told %+v; want a close with %d", m, tt.code)
		}
	}
	if n := w.keeper.Stats().Dropped["message_failed"]; n != 4 {
		t.Errorf("%d counted; want 4", n)
	}
}

// TestMessageOrder: one client's messages are posted one after the other; those of many, so many at once.
func TestMessageOrder(t *testing.T) {
	b := &postbox{answer: echo, hold: make(chan struct{})}
	w := start(t, b.open)
	var list []*client
	for range 20 {
		list = append(list, w.hold(t, "websocket v1", "channel=public.a"))
	}
	for i, c := range list {
		for n := range 5 {
			c.say(fmt.Sprintf(`{"type":"message","data":[%d,%d],"ref":%d}`, i, n, n))
		}
	}
	wiretest.Eventually(t, "four are with the app, and the others wait", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now == 4 && w.keeper.Stats().PostsWaiting == 16
	})
	close(b.hold)
	for i, c := range list {
		for n := range 5 {
			c.told(fmt.Sprintf(`"ref":%d,"data":[%d,%d]}`, n, i, n))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most != 4 || len(b.got) != 100 {
		t.Errorf("%d posts, %d at once; want 100 and 4", len(b.got), b.most)
	}
	last := map[string]string{}
	for _, m := range b.got {
		if who := m.Connection; last[who] >= string(m.Data) {
			t.Fatalf("%s after %s", m.Data, last[who])
		}
		last[m.Connection] = string(m.Data)
	}
}

// TestMessageLimits: what is too much is refused with a reason, and costs its limit.
func TestMessageLimits(t *testing.T) {
	b := &postbox{answer: echo, hold: make(chan struct{})}
	w := start(t, b.open, func(o *upgrade.Options) { o.MaxMessage = 64 << 10 })
	c := w.hold(t, "websocket v1", "channel=public.a")
	long := strings.Repeat("x", 30<<10)
	c.say(`{"type":"message","data":"` + long + `","ref":1}`) // read on a worker
	wiretest.Eventually(t, "it is posted", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.now == 1 })
	c.say(`{"type":"message","data":"` + long + `","ref":2}`)
	c.say(`{"type":"message","data":"` + long + `","ref":3}`)
	c.say(`{"type":"message","data":"` + long + `","ref":4}`)
	close(b.hold)
	for i := 1; i <= 4; i++ {
		c.told(fmt.Sprintf(`{"type":"reply","ref":%d,"data":"xxx`, i))
	}
	c.say(`{"type":"message","data":"` + strings.Repeat("x", 64<<10) + `"}`)
	if m := c.recv(); m.Type != "close" || m.Code != 1009 {
		t.Errorf("told %+v; want a close with 1009", m)
	}
	for _, tt := range []struct{ said, want string }{
		{`{"type":"message"}`, "data is missing"},
		{`{"type":"message","data":1,"channels":["public.a"]}`, "channels is not for message"},
		{`{"type":"ping","data":1}`, "data is not for ping"},
	} {
		c := w.hold(t, "websocket v1", "channel=public.a")
		c.say(tt.said)
		c.told(tt.want)
	}
	raw := w.hold(t, "websocket", "channel=public.a")
	b.mu.Lock()
	b.hold = make(chan struct{})
	b.mu.Unlock()
	for range 20 { // in one write, and more than wait: they are read later
		raw.say("x")
	}
	close(b.hold)
	for range 20 {
		if m := raw.recv(); m.Type != "message" {
			t.Fatalf("told %+v; want an answer to each", m)
		}
	}
}

// TestMessageOff: without push.message_path nothing is posted, and who tries is told.
func TestMessageOff(t *testing.T) {
	w := start(t)
	c := w.hold(t, "websocket v1", "channel=public.a")
	c.say(`{"type":"message","data":1,"ref":1}`)
	c.told(`{"type":"error","error":"client messages are off; see push.message_path","ref":1}`)
	raw := w.hold(t, "websocket", "channel=public.a")
	raw.say("ignored")
	w.publish(t, "on", "public.a")
	raw.expect("on")
}

// TestMessageReplyAfterClientGone: a response for a client that is gone is dropped.
func TestMessageReplyAfterClientGone(t *testing.T) {
	b := &postbox{answer: echo, hold: make(chan struct{})}
	w := start(t, b.open)
	c := w.hold(t, "websocket v1", "channel=public.a")
	c.say(`{"type":"message","data":1}`)
	wiretest.Eventually(t, "it is posted", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.now == 1 })
	c.Close()
	w.waitHeld(t, 0)
	next := w.hold(t, "websocket v1", "channel=public.a") // perhaps in the same slot
	close(b.hold)
	next.say(`{"type":"message","data":2}`)
	next.told(`{"type":"reply","data":2}`)
}
