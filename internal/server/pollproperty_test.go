package server

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/wiretest"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "the first seed of TestPollModel")
	modelSeeds = flag.Uint64("model.seeds", 10, "how many seeds TestPollModel tries")
	modelSteps = flag.Int("model.steps", 200, "steps of each tab in TestPollModel")
)

const (
	modelFresh = 100 * time.Millisecond
	modelWait  = 100 * time.Millisecond
	modelSlack = 400 * time.Millisecond // how late a loop may be in looking at its clock, on a machine that has much to do
	modelTabs  = 10
	modelUsers = 4 // browsers; each has some of the tabs
)

const modelConfig = `
push: {headers: true, logout: {cookies: [sid], paths: [/out]}}
channels: [{match: "**", access: public}]
polls:
- {match: /status, key: [query, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, max_size: 4KB}
- {match: /short, key: [query, session], fresh: 100ms, max_size: 4KB}
- {match: /public, key: [query.id], shared: true, channel: "parcel.{query.id}", fresh: 1h, pass: 0, drop_cookies: true, max_size: 4KB}
- {match: /beat, methods: [POST], key: [query, body, session], channel: "parcel.{query.id}", fresh: 1h, pass: 0, max_size: 4KB}
cache:
- {match: /page, key: [query], shared: true, stale_updating: 1s, stale_error: 1s, revalidate: 1h, max_size: 4KB}
cache_limits: {size: 1MB, session_size: 64KB, wait: 100ms}
`

// modelRun is one seed: tabs of some browsers, in front of a Holdfast, in front of the app.
type modelRun struct {
	*absorbed
	model   *modelApp
	seed    uint64
	api     *http.Client
	drafts  atomic.Int64
	hits    atomic.Int64
	polls   atomic.Int64
	faulted atomic.Bool
}

// modelBrowser is a cookie jar of one cookie, which the tabs of a browser share.
type modelBrowser struct {
	mu  sync.Mutex
	sid string
}

func (b *modelBrowser) session() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sid
}

// modelTab polls, writes and so on, one after the other.
type modelTab struct {
	*modelRun
	random  *rand.Rand
	browser *modelBrowser
	conn    net.Conn // nil: none
	reader  *bufio.Reader
	etags   map[string]string // by target and language
}

// TestPollModel: users in tabs of browsers poll, write, log in and out, and leave in the middle, while parcels change, the app
// is slow and fails, and room is short. No response is another's or for another question. None is older than the session's own
// writes and logins, than a change that Holdfast was told of in any of the ways, or than its rule allows.
//
//	go test ./internal/server -run TestPollModel -model.seeds 1000
func TestPollModel(t *testing.T) {
	var mu sync.Mutex
	var polls, hits, waits, changed int64
	dropped := map[string]int64{}
	t.Run("seeds", func(t *testing.T) {
		for seed := *modelSeed; seed < *modelSeed+*modelSeeds; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				run := newModelRun(t, seed)
				run.tabs()
				run.rest()
				run.leak(t)
				st := run.s.cache.Store.Stats()
				mu.Lock()
				defer mu.Unlock()
				polls, hits, waits, changed = polls+run.polls.Load(), hits+run.hits.Load(), waits+st.Waits, changed+st.Refused[cache.Changed]
				for reason, n := range byReason(st.Dropped[:], 0, 0) {
					dropped[reason] += n
				}
			})
		}
	})
	t.Logf("%d polls, %d hits, %d waits, %d not stored as they were changed; dropped: %v", polls, hits, waits, changed, dropped)
	if t.Failed() || *modelSeeds < 10 {
		return
	}
	if hits < polls/10 || waits == 0 || changed == 0 {
		t.Error("too little has happened")
	}
	for _, reason := range []string{"session_changed", "channel", "group", "purged", "expired"} {
		if dropped[reason] == 0 {
			t.Errorf("nothing was dropped because of %s", reason)
		}
	}
}

func newModelRun(t *testing.T, seed uint64) *modelRun {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r := &modelRun{absorbed: newAbsorbed(t, modelConfig), model: newModelApp(seed), seed: seed, api: &http.Client{Transport: transport}}
	r.app.responds(r.model.ServeHTTP)
	return r
}

// fail says what is wrong, once for a run: what follows from it is of no interest.
func (r *modelRun) fail(format string, args ...any) {
	if !r.faulted.Swap(true) {
		r.t.Errorf("seed %d: "+format, append([]any{r.seed}, args...)...)
	}
}

// tabs has all tabs take their steps at once.
func (r *modelRun) tabs() {
	var browsers [modelUsers]*modelBrowser
	for i := range browsers {
		browsers[i] = &modelBrowser{sid: fmt.Sprintf("s%d", i)}
	}
	var group sync.WaitGroup
	for i := range modelTabs {
		x := &modelTab{
			modelRun: r, browser: browsers[i%modelUsers], etags: map[string]string{},
			random: rand.New(rand.NewPCG(r.seed, uint64(i+1))),
		}
		group.Go(func() {
			defer x.hangUp()
			for step := 0; step < *modelSteps && !r.faulted.Load(); step++ {
				x.step()
			}
		})
	}
	group.Wait()
}

// rest lets responses get too old, and wants that none of them is given any more.
func (r *modelRun) rest() {
	if r.faulted.Load() {
		return
	}
	r.model.mu.Lock()
	r.model.calm = true
	r.model.mu.Unlock()
	x := &modelTab{modelRun: r, browser: &modelBrowser{sid: "s0"}, etags: map[string]string{}, random: rand.New(rand.NewPCG(r.seed, 99))}
	defer x.hangUp()
	for i := range 2 * modelParcels {
		if i == modelParcels {
			time.Sleep(2*modelFresh + modelSlack)
		}
		x.poll("GET", "/short", fmt.Sprintf("/short?id=%d", i%modelParcels), "", i%modelParcels)
	}
}

// step is what a tab does next.
func (x *modelTab) step() {
	id := x.random.IntN(modelParcels)
	switch n := x.random.IntN(100); {
	case n < 80:
		x.pollAny(id)
	case n < 84:
		x.change(id)
	case n < 87:
		x.own("POST", "/save", "text=x")
	case n < 89:
		x.move(id)
	case n < 91:
		x.own("POST", fmt.Sprintf("/beat?id=%d", id), fmt.Sprintf("draft=%d", x.drafts.Add(1)))
	case n < 94:
		x.identify()
	case n < 97:
		x.leave(id)
	default:
		time.Sleep(time.Duration(x.random.IntN(8)) * time.Millisecond)
	}
}

// pollAny sends one of the polls.
func (x *modelTab) pollAny(id int) {
	path := [...]string{"/status", "/short", "/public", "/page", "/beat"}[x.random.IntN(5)]
	target := fmt.Sprintf("%s?id=%d", path, id)
	if x.random.IntN(4) == 0 {
		target += fmt.Sprintf("&_=%d", x.random.IntN(3))
	}
	method, body := "GET", ""
	switch {
	case path == "/beat":
		method, body = "POST", fmt.Sprintf("tab=%d", x.random.IntN(2))
	case x.random.IntN(12) == 0:
		method = "HEAD"
	}
	x.poll(method, path, target, body, id)
}

// poll sends a poll and checks its response.
func (x *modelTab) poll(method, path, target, body string, id int) {
	a := &modelAsk{method: method, path: path, target: target, body: body, sid: x.browser.session(), id: id}
	var fields []string
	if path == "/page" {
		a.lang = [...]string{"de", "en"}[x.random.IntN(2)]
		fields = append(fields, "X-Lang: "+a.lang)
	}
	name := target + " " + a.lang + " " + a.sid
	if tag := x.etags[name]; tag != "" && method == "GET" && x.random.IntN(2) == 0 {
		fields = append(fields, "If-None-Match: "+tag)
		a.tag = tag
	}
	x.model.ask(a)
	r, text, err := x.send(method, target, body, a.sid, fields...)
	if err != nil {
		x.lost(target, err)
		return
	}
	x.polls.Add(1)
	result := r.Header.Get("Cache-Status")
	hit := strings.HasPrefix(result, "holdfast; hit")
	if hit {
		x.hits.Add(1)
	}
	tag := r.Header.Get("ETag")
	if wrong := x.model.check(a, r.StatusCode, tag, text, hit); wrong != "" {
		x.fail("%s %s %s of session %q %s; %d, Cache-Status: %s", method, target, body, a.sid, wrong, r.StatusCode, result)
	}
	if tag != "" && method != "HEAD" {
		x.etags[name] = tag
	}
}

// own is a request by which a session changes something of its own.
func (x *modelTab) own(method, target, body string) {
	r, text, err := x.send(method, target, body, x.browser.session())
	if err != nil {
		x.lost(target, err)
		return
	}
	x.answered(r, text)
}

// answered notes a response after which the session sees what it has changed.
func (x *modelTab) answered(r *http.Response, text string) (ok bool) {
	number, _, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if err != nil || text != modelBody(n) {
		if r.StatusCode < 502 {
			x.fail("a change is answered with %d, %.60q", r.StatusCode, text)
		}
		return false
	}
	x.model.answered(n)
	return r.StatusCode < 400
}

// identify logs a session in or out, or gives it another name.
func (x *modelTab) identify() {
	user := fmt.Sprintf("user%d", x.random.IntN(3))
	switch x.random.IntN(5) {
	case 0:
		x.own("GET", "/out", "")
	case 1:
		x.own("POST", "/out", "really=yes")
	case 2:
		x.own("GET", "/expire", "")
	case 3:
		x.own("POST", "/login?as="+user, "password=x")
	case 4:
		sid := fmt.Sprintf("s%d.%d", x.drafts.Add(1), x.seed)
		r, text, err := x.send("GET", "/rotate?to="+sid, "", x.browser.session())
		if err != nil {
			x.lost("/rotate", err)
		} else if x.answered(r, text) {
			x.browser.mu.Lock()
			x.browser.sid = sid
			x.browser.mu.Unlock()
		}
	}
}

// move has a request of the session change a parcel, and the app say so in its response.
func (x *modelTab) move(id int) {
	tell := [...]string{"group", "channel"}[x.random.IntN(2)]
	r, text, err := x.send("POST", fmt.Sprintf("/move?id=%d&tell=%s", id, tell), "to=x", x.browser.session())
	if err != nil {
		x.lost("/move", err)
		return
	}
	if !x.answered(r, text) {
		return
	}
	number, _, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(number)
	x.model.mu.Lock()
	version := x.model.given[n].parcel
	x.model.mu.Unlock()
	x.told(tell, id, version)
}

// told notes that Holdfast knows of a version of a parcel.
func (x *modelTab) told(how string, id, version int) {
	paths := []string{"/status", "/public", "/beat", "/page"}
	if how == "group" {
		paths = append(paths, "/short")
	}
	for _, path := range paths {
		x.model.raise(fmt.Sprintf("%s#%d", path, id), version)
	}
}

// change changes a parcel in another way than by a request that Holdfast passes on, and tells it, or does not.
func (x *modelTab) change(id int) {
	version := x.model.changeParcel(id)
	path := [...]string{"/status", "/short", "/public", "/page"}[x.random.IntN(4)]
	switch x.random.IntN(6) {
	case 0:
		if x.call(fmt.Sprintf("/publish?channel=parcel.%d", id), "moved") {
			x.told("channel", id, version)
		}
	case 1:
		if x.call(fmt.Sprintf("/changed?channel=parcel.%d", id), "") {
			x.told("channel", id, version)
		}
	case 2:
		if x.call(fmt.Sprintf("/changed?group=parcel-%d", id), "") {
			x.told("group", id, version)
		}
	case 3:
		target := fmt.Sprintf("%s?id=%d", path, id)
		switch {
		case path == "/public": // of which all with this id are the same question
			if x.call(fmt.Sprintf("/changed?url=%s%%26_=%d", target, x.random.IntN(3)), "") {
				x.model.raise(fmt.Sprintf("%s#%d", path, id), version)
			}
		case x.call("/changed?url="+target, ""):
			x.model.raise(target, version)
		}
	case 4:
		if x.random.IntN(3) == 0 && x.call("/changed?prefix="+path[:3], "") {
			for _, p := range []string{"/status", "/short", "/public", "/page"} {
				if strings.HasPrefix(p, path[:3]) {
					x.model.raise(fmt.Sprintf("%s#%d", p, id), version)
				}
			}
		}
	}
}

// call uses the API.
func (x *modelTab) call(target, body string) bool {
	r, err := x.api.Post("http://"+x.s.HooksAddr().String()+target, "text/plain", strings.NewReader(body))
	if err != nil {
		x.fail("POST %s: %v", target, err)
		return false
	}
	defer r.Body.Close()
	if text, _ := io.ReadAll(r.Body); r.StatusCode != 200 {
		x.fail("POST %s: %d %s", target, r.StatusCode, text)
		return false
	}
	return true
}

// leave sends a request and does not wait for its response, or not for all of it.
func (x *modelTab) leave(id int) {
	method, target, body := "GET", fmt.Sprintf("%s?id=%d", [...]string{"/status", "/public", "/page"}[x.random.IntN(3)], id), ""
	if x.random.IntN(3) == 0 {
		method, target, body = "POST", "/save", "text=x"
	}
	x.write(method, target, body, x.browser.session())
	time.Sleep(time.Duration(x.random.IntN(4)) * time.Millisecond)
	x.hangUp()
}

// lost is what becomes of a request whose connection has ended, which is nobody's fault if the app's has.
func (x *modelTab) lost(target string, err error) {
	x.hangUp()
	x.model.mu.Lock()
	defer x.model.mu.Unlock()
	if x.model.faults == 0 {
		x.fail("%s: %v", target, err)
	}
}

func (x *modelTab) hangUp() {
	if x.conn != nil {
		_ = x.conn.Close()
		x.conn = nil
	}
}

// write sends a request, on a new connection if there is none.
func (x *modelTab) write(method, target, body, sid string, fields ...string) error {
	if x.conn == nil {
		c, err := net.Dial("tcp", x.s.Addr().String())
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(3 * wiretest.Timeout))
		x.conn, x.reader = c, bufio.NewReader(c)
	}
	cookie := [...]string{"sid=%s", "theme=dark; sid=%s", "sid=%s; seen=3"}[x.random.IntN(3)]
	head := method + " " + target + " HTTP/1.1\r\nHost: app.test\r\nCookie: " + fmt.Sprintf(cookie, sid) + "\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if method == "POST" {
		head += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	_, err := io.WriteString(x.conn, head+"\r\n"+body)
	return err
}

// send sends a request and reads its response.
func (x *modelTab) send(method, target, body, sid string, fields ...string) (*http.Response, string, error) {
	if err := x.write(method, target, body, sid, fields...); err != nil {
		return nil, "", err
	}
	r, err := http.ReadResponse(x.reader, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", err
	}
	if r.Close {
		x.hangUp()
	}
	return r, string(text), nil
}

// TestChangedURL: a change of a URL ends what is stored of any URL that is the same question for its rule.
func TestChangedURL(t *testing.T) {
	a := newAbsorbed(t, "polls: [{match: /public, key: [query.id], shared: true, fresh: 1h}, {match: /bare, key: [header.X-Mode], shared: true, fresh: 1h}, {match: /all, shared: true, fresh: 1h}]\n")
	for _, tt := range []struct {
		stored, changed string
		dropped         int
	}{
		{"/public?id=1&_=5", "/public?id=1", 1},
		{"/public?id=1", "/public?_=9%26id=1", 1},
		{"/public?id=1&_=5", "/public?id=2", 0},
		{"/public?id=1&%5F=5", "/public?id=1", 0}, // an app may read it otherwise: all of it is in the key
		{"/bare?_=5", "/bare", 1},
		{"/all?_=5", "/all", 0},
		{"/all?_=5", "/all?_=5", 1},
	} {
		a.s.cache.Store.Clear()
		a.ask("", "GET", tt.stored, "")
		r, err := http.Post("http://"+a.s.HooksAddr().String()+"/changed?url="+tt.changed, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if !strings.Contains(string(text), fmt.Sprintf(`"dropped":%d,`, tt.dropped)) {
			t.Errorf("%s is stored, %s changes: %s", tt.stored, tt.changed, text)
		}
	}
}
