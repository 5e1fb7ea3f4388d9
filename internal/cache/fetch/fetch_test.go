package fetch

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/cache/rules"
	"holdfast/internal/http1"
	"holdfast/internal/request"
)

// client is a request without connections.
type client struct {
	asked  bool
	waits  bool
	served string // the body
}

func (c *client) Serve(a Answer, fields []http1.Field) {
	_, _, body := a.Append(nil, fields, time.Now())
	c.served = string(body)
}
func (c *client) Await(time.Duration)   { c.waits = true }
func (c *client) Ask(head, body []byte) { c.asked = true }

// world is a cache with rules for /poll and /beat.
type world struct {
	*Cache
	t   testing.TB
	now time.Time
}

func newWorld(t testing.TB, o cache.Options, pending int64) *world {
	h := cache.NewHasher()
	policy := cache.Policy{Fresh: time.Hour, IgnoreApp: true}
	set, err := rules.New([]rules.Options{
		{Name: "poll", Match: "/poll", MaxBytes: 1 << 20, Policy: policy},
		{Name: "beat", Match: "/beat", Methods: []string{"POST"}, Parts: []string{"body", "session"}, MaxBytes: 1 << 20, MaxBody: 64 << 10, Policy: policy},
	}, []string{"sid"}, h)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, now: time.Unix(1e9, 0), Cache: &Cache{Rules: set, Store: cache.NewStore(o, h), Pending: pending, Wait: time.Minute}}
}

// begin has a request looked up, and begun if there is no hit.
func (w *world) begin(user, target, body string) (*client, *Fetch) {
	w.t.Helper()
	method := "GET"
	fields := "Host: app.test\r\nCookie: sid=" + user + "\r\n"
	if body != "" {
		method, fields = "POST", fields+fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	raw := []byte(method + " " + target + " HTTP/1.1\r\n" + fields + "\r\n")
	var h http1.Head
	if r := h.Parse(raw, http1.Limits{Bytes: len(raw), Fields: 10}); r != nil {
		w.t.Fatal(r)
	}
	hit, f := w.Find(w.Rules.Whole(), &h, &request.Request{Head: raw, Host: h.Host}, nil, body == "", w.now)
	c := new(client)
	switch {
	case hit.Entry != nil:
		c.Serve(hit, h.Fields)
		return c, nil
	case f == nil:
		w.t.Fatalf("no rule is about %s", target)
	case body != "":
		if !f.NeedsBody(64 << 10) {
			w.t.Fatal("the body is not waited for")
		}
		f.BodyRead([]byte(body))
	}
	f.Begin(c, func(run func(bool, time.Time)) bool { run(true, w.now); return true }, w.now)
	return c, f
}

// answer gives a request that has asked the app a response.
func (w *world) answer(f *Fetch, body string) {
	a := http1.Answer{Status: 200, Line: []byte("200 OK"), Length: int64(len(body))}
	f.Change().Apply(&a)
	f.Judge(&a, w.now)
	f.Head(&a)
	f.Add([]byte(body), w.now)
	f.Complete(w.now)
	f.Close(true, w.now)
}

// TestManyKeys: a hundred thousand different polls take no more memory than the limit says.
func TestManyKeys(t *testing.T) {
	const limit = 4 << 20
	w := newWorld(t, cache.Options{Bytes: limit}, 0)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	body := strings.Repeat("x", 100)
	for i := range 100_000 {
		target, text := fmt.Sprintf("/poll?id=%d", i), ""
		if i%4 == 0 { // also notes of what a session has asked
			target, text = "/beat", fmt.Sprint(i)
		}
		c, f := w.begin(fmt.Sprint(i%1000), target, text)
		if !c.asked {
			t.Fatalf("%s was not asked for", target)
		}
		w.answer(f, body)
	}
	st := w.Store.Stats()
	if grown := heap() - before; st.Bytes > limit || grown > 2*limit {
		t.Errorf("%d entries of %d bytes take %d; want at most %d", st.Entries, st.Bytes, grown, 2*limit)
	}
	if st.Entries < 1000 || st.Flights != 0 || w.pending.Load() != 0 {
		t.Errorf("%d entries, %d flights, %d bytes pending", st.Entries, st.Flights, w.pending.Load())
	}
	runtime.KeepAlive(w)
}

// TestPending: bodies of requests that wait, and responses that come, are bounded. What does not fit goes to the app, and is
// not stored.
func TestPending(t *testing.T) {
	w := newWorld(t, cache.Options{}, 100<<10)
	body := strings.Repeat("x", 60<<10)
	_, first := w.begin("1", "/beat", body)
	second, other := w.begin("1", "/beat", body)
	if second.waits || !second.asked {
		t.Error("a body waits for which there is no room")
	}
	w.answer(other, "b")
	c, f := w.begin("1", "/poll", "")
	if !c.asked {
		t.Fatal("the app was not asked")
	}
	w.answer(f, body)
	if c, f = w.begin("1", "/poll", ""); !c.asked {
		t.Error("a response was stored for which there was no room")
	}
	w.answer(f, body)
	w.answer(first, "a")
	_, f = w.begin("1", "/poll", "")
	w.answer(f, body)
	if c, _ = w.begin("1", "/poll", ""); c.served != body {
		t.Error("a response was not stored for which there was room")
	}
	if w.pending.Load() != 0 {
		t.Errorf("%d bytes are pending", w.pending.Load())
	}
}
