package hooks

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/hub"
)

func (a *app) publishWith(key, query, body string) answer {
	a.t.Helper()
	return a.raw(request("POST /publish"+query, keyHeader+": "+key+"\r\n", body))
}

func (a *app) published() uint64 { return a.hub.Stats().Published }

// TestKeyOfARequest: what is sent again gets the first answer and is published once; anything else with the key is
// refused and publishes nothing.
func TestKeyOfARequest(t *testing.T) {
	a := start(t, "tcp", Options{})
	batch := `[{"channel":"a","data":1},{"channel":"b","data":2}]`
	first := a.publishWith("k-1", "?channel=a", "x")
	many := a.publishWith("k-2", "", batch)
	if first.status != 200 || many.status != 200 || first.header.Get(replayedHeader) != "" || a.published() != 3 {
		t.Fatalf("%+v %+v, %d published", first, many, a.published())
	}
	for _, tt := range []struct {
		name, key, query, body string
		status                 int
		want                   string
	}{
		{"again", "k-1", "?channel=a", "x", 200, first.body},
		{"again, as a quoted string", `"k-1"`, "?channel=a", "x", 200, first.body},
		{"a batch again", "k-2", "", batch, 200, many.body},
		{"another body", "k-1", "?channel=a", "y", 422, "used for another publish"},
		{"another channel", "k-1", "?channel=b", "x", 422, "used for another publish"},
		{"the same text, cut elsewhere", "k-1", "?channel=", "ax", 400, "bad channel"},
		{"less of a batch", "k-2", "", `[{"channel":"a","data":1}]`, 422, "used for another publish"},
		{"empty", `""`, "?channel=a", "x", 400, "1 to 255 characters, not 0"},
		{"long", strings.Repeat("k", 256), "?channel=a", "x", 400, "not 256"},
		{"not ASCII", "ü", "?channel=a", "x", 400, "visible ASCII"},
		{"a list", `"a", "b"`, "?channel=a", "x", 400, "visible ASCII"},
		{"twice", "k\r\n" + keyHeader + ": l", "?channel=a", "x", 400, "given 2 times"},
		{"both ways", "k", "", `{"channel":"a","data":1,"idempotency_key":"k"}`, 400, "want one of them"},
	} {
		r := a.publishWith(tt.key, tt.query, tt.body)
		if r.status != tt.status || !strings.Contains(r.body, tt.want) || (r.header.Get(replayedHeader) == "true") != (tt.status == 200) {
			t.Errorf("%s: %d %s %v; want %d %s", tt.name, r.status, r.body, r.header, tt.status, tt.want)
		}
	}
	if n := a.published(); n != 3 {
		t.Errorf("%d were published; want 3", n)
	}
	metrics := a.raw(request("GET /metrics", "", "")).body
	for _, want := range []string{"idempotency_replayed_total 3\n", "idempotency_conflicts_total 3\n", "idempotency_keys 2\n", "idempotency_evicted_total 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// TestKeysOfMessages: in a batch each message has a key of its own, so that one that is put together anew publishes
// what is new.
func TestKeysOfMessages(t *testing.T) {
	a := start(t, "tcp", Options{})
	one := a.raw(request("POST /publish", "", `{"channel":"a","data":1,"idempotency_key":"1"}`))
	two := a.raw(request("POST /publish", "", `[{"channel":"a","data":1,"idempotency_key":"1"},{"channel":"a","data":2,"idempotency_key":"2"},{"channel":"a","data":3}]`))
	if one.status != 200 || two.status != 200 || a.published() != 3 || two.header.Get(replayedHeader) != "true" ||
		!strings.Contains(two.body, `{"messages":[`+strings.TrimSpace(one.body)+`,`) {
		t.Errorf("%+v\n%+v\n%d published", one, two, a.published())
	}
	again := a.raw(request("POST /publish", "", `{"channel":"a","data":2,"idempotency_key":"2"}`))
	if !strings.Contains(two.body, strings.TrimSpace(again.body)) || a.published() != 3 {
		t.Errorf("%+v, %d published", again, a.published())
	}
	for _, other := range []string{`"channel":"b","data":2`, `"channel":"a","data":"2"`, `"channel":"a","data":2,"event":"e"`, `"channel":["a","b"],"data":2`} {
		r := a.raw(request("POST /publish", "", `[{"channel":"a","data":4},{`+other+`,"idempotency_key":"2"}]`))
		if r.status != 422 || !strings.Contains(r.body, "message 2: ") || a.published() != 3 {
			t.Errorf("%s: %+v, %d published", other, r, a.published())
		}
	}
}

// TestKeyOfARefusal: what was not published has no answer to remember.
func TestKeyOfARefusal(t *testing.T) {
	a := start(t, "tcp", Options{})
	if r := a.publishWith("k", "?channel=unruled.x.y", "x"); r.status != 400 {
		t.Errorf("%+v", r)
	}
	if r := a.publishWith("k", "?channel=a", "x"); r.status != 200 || r.header.Get(replayedHeader) != "" {
		t.Errorf("%+v", r)
	}
	busy := errors.New("busy")
	c := keyedRequest{key: "b"}
	if _, _, err := a.idempotency.request(c, nil, func([]hub.Draft) ([]hub.Receipt, error) { return nil, busy }); !errors.Is(err, busy) {
		t.Error(err)
	}
	if _, again, err := a.idempotency.request(c, nil, a.hub.Publish); again || err != nil {
		t.Error(again, err)
	}
}

// TestKeysExpire: after their time, and before it when there are too many, which is counted and logged.
func TestKeysExpire(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := start(t, "tcp", Options{KeyAge: time.Minute, KeySize: 3 * (replyOverhead + 3 + receiptCost)}, func(s *Server) { s.idempotency.now = func() time.Time { return now } })
	again := func(key string) bool {
		t.Helper()
		r := a.publishWith(key, "?channel=a", "x")
		if r.status != 200 {
			t.Fatalf("%+v", r)
		}
		return r.header.Get(replayedHeader) == "true"
	}
	again("k1")
	if now = now.Add(time.Minute); !again("k1") {
		t.Error("forgotten within its time")
	}
	if now = now.Add(1); again("k1") {
		t.Error("remembered beyond its time")
	}
	if strings.Contains(a.log.String(), "forgotten") {
		t.Error("a key whose time is over is no news")
	}
	again("k2")
	again("k3")
	again("k4")
	if !again("k2") || !again("k3") || !again("k4") || again("k1") {
		t.Error("not the oldest was forgotten")
	}
	if n := strings.Count(a.log.String(), "hooks.idempotency_size"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if m := a.raw(request("GET /metrics", "", "")).body; !strings.Contains(m, "idempotency_evicted_total 2\n") || !strings.Contains(m, "idempotency_keys 3\n") {
		t.Errorf("metrics %s", m)
	}
	if a.idempotency.bytes != int64(3*(replyOverhead+3+receiptCost)) {
		t.Errorf("%d bytes are counted", a.idempotency.bytes)
	}
}

// TestConcurrentPublishesWithOneKey: of many at the same time one publishes, and all get its answer.
func TestConcurrentPublishesWithOneKey(t *testing.T) {
	a := start(t, "tcp", Options{})
	const keys, each = 5, 20
	answers := make([][each]string, keys)
	var group sync.WaitGroup
	for k := range keys {
		for i := range each {
			group.Go(func() {
				body := fmt.Sprintf(`{"channel":"a","data":%d}`, k)
				fields := fmt.Sprintf("%s: %d\r\n", keyHeader, k)
				if i%2 == 0 {
					body, fields = fmt.Sprintf(`{"channel":"a","data":%d,"idempotency_key":"%d"}`, k, k), ""
				}
				req, err := http.NewRequest("POST", "http://"+a.ln.Addr().String()+"/publish", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				if name, value, ok := strings.Cut(strings.TrimSpace(fields), ": "); ok {
					req.Header.Set(name, value)
				}
				req.Close = true
				r, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				told, err := io.ReadAll(r.Body)
				if err != nil || r.StatusCode != 200 {
					t.Errorf("%d %q %v", r.StatusCode, told, err)
				}
				answers[k][i] = string(told)
			})
		}
	}
	group.Wait()
	for k := range answers {
		for i := range answers[k] {
			if answers[k][i] != answers[k][i%2] {
				t.Errorf("key %d: answers %q and %q", k, answers[k][i], answers[k][i%2])
			}
		}
	}
	if n := a.published(); n != 2*keys {
		t.Errorf("%d were published; want %d by a header and %d by a member", n, keys, keys)
	}
}
