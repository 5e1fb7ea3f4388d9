package server

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
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

	passing sync.Mutex // held by a poll that may have to reach the app as none of the session has: there is one at a time
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
	agent   string   // tells it from others where polls are held
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
	dropped, ended := map[string]int64{}, map[string]int64{}
	var due int64
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
				for reason, n := range run.s.cache.held.Stats().Ended {
					ended[reason] += n
				}
				for _, c := range run.s.cache.Counts() {
					due += c.Passed[cache.PassDue]
				}
			})
		}
	})
	t.Logf("%d polls, %d hits, %d waits, %d not stored as they were changed; dropped: %v; held: %v; %d passed as none of the session had", polls, hits, waits, changed, dropped, ended, due)
	if t.Failed() || *modelSeeds < 10 {
		return
	}
	if hits < polls/10 || waits == 0 || changed == 0 || ended["changed"] == 0 || ended["client_sent"] == 0 || ended["client_gone"] == 0 || due == 0 {
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
	other := newPolledApp(t)
	here := newPolledApp(t)
	r := &modelRun{model: newModelApp(seed), seed: seed, api: &http.Client{Transport: transport}}
	r.absorbed = newAbsorbed(t, fmt.Sprintf(modelConfig, other.socket, here.socket), func(s *Server) {
		s.cache.Settle = time.Nanosecond // or else all polls are held for a second at most, as all answers are new
	})
	r.app.responds(r.model.app("a"))
	here.responds(r.model.app("a"))
	other.responds(r.model.app("b"))
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
			modelRun: r, browser: browsers[i%modelUsers], agent: fmt.Sprintf("tab%d", i), etags: map[string]string{},
			random: rand.New(rand.NewPCG(r.seed, uint64(i+1))),
		}
		group.Go(func() {
			defer x.hangUp()
			for step := 0; step < *modelSteps && !r.faulted.Load(); step++ {
				x.step()
			}
		})
	}
	donec := make(chan struct{})
	go func() {
		group.Wait()
		close(donec)
	}()
	x := &modelTab{modelRun: r, random: rand.New(rand.NewPCG(r.seed, 98))}
	for i := 0; ; i++ {
		select {
		case <-donec:
			return
		case <-time.After(10 * time.Millisecond):
			if r.s.cache.held.Stats().Held > 0 {
				x.end(i % modelParcels)
			}
		}
	}
}

// end changes a parcel, so that the polls end that are held for it.
func (x *modelTab) end(id int) {
	late := x.model.waiting(id)
	version := x.model.changeParcel(id)
	if !x.call(fmt.Sprintf("/publish?channel=parcel.%d", id), "moved") {
		return
	}
	x.told(id, version, hasChannel)
	for deadline := time.Now().Add(wiretest.Timeout); len(late) > 0 && !x.faulted.Load(); late = x.model.still(late) {
		if time.Sleep(time.Millisecond); time.Now().After(deadline) {
			x.fail("%s%s of session %q is held, and Holdfast was told of a change", late[0].host, late[0].target, late[0].sid)
		}
	}
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
			time.Sleep(modelPass + 2*modelSlack)
		}
		for _, p := range modelPlaces {
			if p.pass || p.longest() <= modelPass {
				x.poll("GET", p, fmt.Sprintf("%s?id=%d", p.path, i%modelParcels), "", i%modelParcels)
			}
		}
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
		x.own("POST", [...]string{"/save", "/bare/save"}[x.random.IntN(2)], "text=x") // the latter where there are no rules
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

// pollAny sends one of the polls, and again, as pages do.
func (x *modelTab) pollAny(id int) {
	p := modelPlaces[x.random.IntN(len(modelPlaces))]
	target := fmt.Sprintf("%s?id=%d", p.path, id)
	if x.random.IntN(4) == 0 {
		target += fmt.Sprintf("&_=%d", x.random.IntN(3))
	}
	method, body := "GET", ""
	switch {
	case p.path == "/beat":
		method, body = "POST", fmt.Sprintf("tab=%d", x.random.IntN(2))
	case x.random.IntN(12) == 0:
		method = "HEAD"
	}
	for range 1 + x.random.IntN(3) {
		x.poll(method, p, target, body, id)
	}
}

// poll sends a poll and checks its response.
func (x *modelTab) poll(method string, p *modelPlace, target, body string, id int) {
	if p.pass {
		x.browser.passing.Lock()
		defer x.browser.passing.Unlock()
	}
	a := &modelAsk{modelPlace: p, method: method, target: target, body: body, sid: x.browser.session(), id: id}
	var fields []string
	if p.path == "/page" {
		a.lang = [...]string{"de", "en"}[x.random.IntN(2)]
		fields = append(fields, "X-Lang: "+a.lang)
	}
	if tag := x.etags[a.name()]; tag != "" && method == "GET" && x.random.IntN(2) == 0 {
		fields = append(fields, "If-None-Match: "+tag)
		a.tag = tag
	}
	x.model.ask(a)
	if p.held && method == "GET" && x.random.IntN(8) == 0 {
		x.hurry(a, fields)
		return
	}
	r, text, err := x.sendTo(p.host, method, target, body, a.sid, fields...)
	x.polled(a, r, text, err)
}

// polled checks a poll's response.
func (x *modelTab) polled(a *modelAsk, r *http.Response, text string, err error) (ok bool) {
	x.model.answers(a)
	if err != nil {
		if a.held && os.IsTimeout(err) {
			x.fail("%s%s of session %q is held all the time", a.host, a.target, a.sid)
		}
		x.lost(a.target, err)
		return false
	}
	x.polls.Add(1)
	result := r.Header.Get("Cache-Status")
	hit := strings.HasPrefix(result, "holdfast; hit")
	if hit {
		x.hits.Add(1)
	}
	tag := r.Header.Get("ETag")
	if wrong := x.model.check(a, r.StatusCode, tag, text, hit); wrong != "" {
		x.fail("%s %s%s %s of session %q %s; %d, Cache-Status: %s", a.method, a.host, a.target, a.body, a.sid, wrong, r.StatusCode, result)
	}
	if tag != "" && a.method != "HEAD" {
		x.etags[a.name()] = tag
	}
	return true
}

// hurry sends a poll that may be held, and another request after it: the poll is answered then.
func (x *modelTab) hurry(a *modelAsk, fields []string) {
	err := x.write(a.host, a.method, a.target, a.body, a.sid, fields...)
	time.Sleep(time.Duration(x.random.IntN(10)) * time.Millisecond)
	next := &modelAsk{modelPlace: modelPlaces[0], method: "GET", target: fmt.Sprintf("/status?id=%d", a.id), sid: a.sid, id: a.id}
	x.model.ask(next)
	if err == nil && x.conn != nil {
		err = x.write(next.host, next.method, next.target, next.body, next.sid)
	}
	defer x.model.answers(next)
	for _, a := range []*modelAsk{a, next} {
		var r *http.Response
		var text string
		if err == nil {
			r, text, err = x.receive(a.method)
		}
		if !x.polled(a, r, text, err) || x.conn == nil {
			return
		}
	}
}

// own is a request by which a session changes something of its own.
func (x *modelTab) own(method, target, body string) {
	r, text, err := x.sendTo(x.host(), method, target, body, x.browser.session())
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
		r, text, err := x.sendTo(x.host(), "GET", "/rotate?to="+sid, "", x.browser.session())
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
	host := "a.test"
	if tell == "group" {
		host = x.host()
	}
	r, text, err := x.sendTo(host, "POST", fmt.Sprintf("/move?id=%d&tell=%s", id, tell), "to=x", x.browser.session())
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
	x.told(id, version, func(p *modelPlace) bool { return tell == "channel" && p.channel || tell == "group" && p.host == host })
}

// told notes that Holdfast knows of a version of a parcel, at the places for which that counts.
func (x *modelTab) told(id, version int, at func(p *modelPlace) bool) {
	for _, p := range modelPlaces {
		if at(p) {
			x.model.raise(p.ofID(id), version)
		}
	}
}

func hasChannel(p *modelPlace) bool { return p.channel }
func everywhere(*modelPlace) bool   { return true }

// change changes a parcel in another way than by a request that Holdfast passes on, and tells it, or does not.
func (x *modelTab) change(id int) {
	version := x.model.changeParcel(id)
	path := modelChanged[x.random.IntN(len(modelChanged))]
	switch x.random.IntN(6) {
	case 0:
		if x.call(fmt.Sprintf("/publish?channel=parcel.%d", id), "moved") {
			x.told(id, version, hasChannel)
		}
	case 1:
		if x.call(fmt.Sprintf("/changed?channel=parcel.%d", id), "") {
			x.told(id, version, hasChannel)
		}
	case 2:
		if x.call(fmt.Sprintf("/changed?group=parcel-%d", id), "") {
			x.told(id, version, everywhere)
		}
	case 3:
		target, other := fmt.Sprintf("%s?id=%d", path, id), ""
		if x.random.IntN(2) == 0 {
			other = fmt.Sprintf("&_=%d", x.random.IntN(3))
		}
		if !x.call("/changed?url="+url.QueryEscape(target+other), "") {
			return
		}
		for _, p := range modelPlaces {
			if p.path == path {
				x.model.raise(p.ofTarget(target+other), version)
			}
		}
		x.told(id, version, func(p *modelPlace) bool { return p.path == path && p.byID }) // all with this id are the same question
	case 4:
		if x.random.IntN(3) == 0 && x.call("/changed?prefix="+path[:3], "") {
			x.told(id, version, func(p *modelPlace) bool { return strings.HasPrefix(p.path, path[:3]) })
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
	p := modelPlaces[x.random.IntN(len(modelPlaces))]
	for p.pass { // it may count as the one that has to reach the app, and not reach it
		p = modelPlaces[x.random.IntN(len(modelPlaces))]
	}
	method, target, body := "GET", fmt.Sprintf("%s?id=%d", p.path, id), ""
	if x.random.IntN(3) == 0 {
		method, target, body = "POST", "/save", "text=x"
	}
	if p.held && method == "GET" {
		x.poll(method, p, target, body, id) // so that the next one is held
	}
	x.write(p.host, method, target, body, x.browser.session())
	time.Sleep(time.Duration(x.random.IntN(4)) * time.Millisecond)
	if c, ok := x.conn.(*net.TCPConn); ok && x.random.IntN(2) == 0 {
		_ = c.SetLinger(0) // a reset
	}
	x.hangUp()
	x.agent += "." // what it may have been given is unknown
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
func (x *modelTab) write(host, method, target, body, sid string, fields ...string) error {
	if x.conn == nil {
		c, err := net.Dial("tcp", x.s.Addr().String())
		if err != nil {
			return err
		}
		x.conn, x.reader = c, bufio.NewReader(c)
	}
	cookie := [...]string{"sid=%s", "theme=dark; sid=%s", "sid=%s; seen=3"}[x.random.IntN(3)]
	head := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: " + x.agent + "\r\nCookie: " + fmt.Sprintf(cookie, sid) + "\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if method == "POST" {
		head += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	_ = x.conn.SetReadDeadline(time.Now().Add(wiretest.Timeout))
	_, err := io.WriteString(x.conn, head+"\r\n"+body)
	return err
}

// host returns one of the sites.
func (x *modelTab) host() string { return modelPlaces[x.random.IntN(len(modelPlaces))].host }

// sendTo sends a request and reads its response.
func (x *modelTab) sendTo(host, method, target, body, sid string, fields ...string) (*http.Response, string, error) {
	if err := x.write(host, method, target, body, sid, fields...); err != nil {
		return nil, "", err
	}
	return x.receive(method)
}

// receive reads a response.
func (x *modelTab) receive(method string) (*http.Response, string, error) {
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
