package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/wiretest"
)

// The app of TestPollModel and what it may be told through Holdfast. Everything in it has versions, which only grow: a user of
// a session, what the session has written, and parcels. So a response that is too old has a version that is too low.

const modelParcels = 4

// modelApp is the app, and what is known of each of its responses.
type modelApp struct {
	mu       sync.Mutex // guards what follows
	random   *rand.Rand
	calm     bool // no more faults
	parcels  [modelParcels]int
	sessions map[string]*modelSession
	given    []modelGiven
	tags     map[string]int // numbers of responses by their ETag
	floors   map[string]int // the version of a parcel that a poll sees at least, see modelPlace.ofID and ofTarget
	faults   int            // responses that had no end, and requests that had none

	asked   map[*modelAsk]bool   // the polls on their way that may be held
	reached map[string]time.Time // when a session's poll of a place with pass has reached the app at last, by modelAsk.passes
}

// modelSession is a session. The floors are what its next poll sees at least: what was answered before.
type modelSession struct {
	users              []string // who it was of, in turn; the last is who it is of
	written            int
	whoFloor, ownFloor int
}

// modelGiven is a response, by what the app read when it made it.
type modelGiven struct {
	app, host                     string
	path, target, body, sid, lang string
	id, parcel, own, who          int
	status                        int
	heard                         time.Time // when a client had it that was no hit; zero: none yet
}

func newModelApp(seed uint64) *modelApp {
	return &modelApp{
		random: rand.New(rand.NewPCG(seed, 0)), sessions: map[string]*modelSession{}, tags: map[string]int{}, floors: map[string]int{},
		asked: map[*modelAsk]bool{}, reached: map[string]time.Time{},
	}
}

// session returns a session, for a holder of the mutex. One that nobody has begun is nobody's.
func (m *modelApp) session(sid string) *modelSession {
	s := m.sessions[sid]
	if s == nil {
		s = &modelSession{users: []string{""}}
		m.sessions[sid] = s
	}
	return s
}

// modelFault is what goes wrong with a response.
type modelFault int

const (
	noFault     modelFault = iota
	failed                 // 500
	refused                // 402, which is never stored
	setsCookie             // of another kind than the session's
	forbids                // to store it
	cut                    // in the middle of the body
	reset                  // before the head
	tooSlow                // for those who wait
	modelFaults            // how many there are
)

// plan returns what goes wrong with a request, and how long the app takes before and after it reads what it tells.
func (m *modelApp) plan() (f modelFault, before, after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calm {
		return noFault, 0, 0
	}
	if m.random.IntN(20) == 0 {
		f = modelFault(1 + m.random.IntN(int(modelFaults-1)))
	}
	if m.random.IntN(4) == 0 {
		before = time.Duration(m.random.IntN(6)) * time.Millisecond
	}
	if m.random.IntN(4) == 0 {
		after = time.Duration(m.random.IntN(12)) * time.Millisecond
	}
	if f == tooSlow {
		after = 2 * modelWait
	}
	return f, before, after
}

// app returns one of the apps, which have the same state.
func (m *modelApp) app(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { m.serve(name, w, r) }
}

// serve is an app.
func (m *modelApp) serve(app string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // of a client that has left
	}
	fault, before, after := m.plan()
	time.Sleep(before)
	n, g := m.read(app, r, string(body), fault)
	time.Sleep(after)
	m.respond(w, r, n, g, fault)
}

// read makes the change that a request is about, and reads what the response tells.
func (m *modelApp) read(app string, r *http.Request, body string, fault modelFault) (int, modelGiven) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := modelGiven{app: app, host: r.Host, path: r.URL.Path, target: r.RequestURI, body: body, lang: r.Header.Get("X-Lang"), status: 200}
	if c, err := r.Cookie("sid"); err == nil {
		g.sid = c.Value
	}
	g.id, _ = strconv.Atoi(r.URL.Query().Get("id"))
	s := m.session(g.sid)
	switch {
	case strings.HasSuffix(g.path, "/save") || strings.HasPrefix(body, "draft="):
		s.written++
	case g.path == "/move":
		m.parcels[g.id]++
	case g.path == "/login":
		s.users = append(s.users, r.URL.Query().Get("as"))
	case g.path == "/out" || g.path == "/expire":
		s.users = append(s.users, "")
	case g.path == "/rotate":
		m.session(r.URL.Query().Get("to")).users = []string{s.users[len(s.users)-1]}
		s.users = append(s.users, "")
	}
	switch fault {
	case failed:
		g.status = 500
	case refused:
		g.status = 402
	case cut, reset:
		m.faults++
	}
	m.reached[passKey(g.host, g.path, g.id, g.sid)] = time.Now()
	g.parcel, g.own, g.who = m.parcels[g.id], s.written, len(s.users)-1
	if before, ok := m.unchanged(r.Header.Get("If-None-Match"), &g); ok {
		g.status = 304
		return before, g
	}
	m.given = append(m.given, g)
	return len(m.given) - 1, g
}

// unchanged returns the number of the response that a condition names, if it is what the app would respond now.
func (m *modelApp) unchanged(condition string, g *modelGiven) (int, bool) {
	n, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(condition, `"page`), `"`))
	if err != nil || g.status != 200 || g.path != "/page" {
		return 0, false
	}
	was := m.given[n]
	return n, was.host == g.host && was.target == g.target && was.lang == g.lang && was.parcel == g.parcel && was.status == 200
}

// modelBody is the body of a response: its number, and bytes that no other has.
func modelBody(n int) string {
	return fmt.Sprintf("%d ", n) + strings.Repeat(string(rune('a'+n%26)), n*37%1500)
}

// respond sends a response.
func (m *modelApp) respond(w http.ResponseWriter, r *http.Request, n int, g modelGiven, fault modelFault) {
	h := w.Header()
	switch fault {
	case reset:
		panic(http.ErrAbortHandler)
	case setsCookie:
		h.Set("Set-Cookie", "theme=dark")
	}
	if g.path == "/page" {
		h.Set("ETag", fmt.Sprintf(`"page%d"`, n))
		h.Set("Vary", "X-Lang")
		h.Set("Cache-Control", "max-age=1")
		if n%2 == 0 {
			h.Set("Age", "1") // it is stale at once, and answers while another is fetched, or if the app fails
		}
		h.Set("Push-Channel", fmt.Sprintf("parcel.%d", g.id))
	}
	if fault == forbids || g.path != "/page" {
		h.Set("Cache-Control", "no-store") // as PHP
	}
	if g.status == 304 {
		w.WriteHeader(304)
		return
	}
	group := fmt.Sprintf(`"parcel-%d"`, g.id)
	switch tell := r.URL.Query().Get("tell"); {
	case r.Method != "POST":
		h.Set("Cache-Groups", group)
	case tell == "group":
		h.Set("Cache-Group-Invalidation", group)
	case tell == "channel":
		h.Set("Push-Channel", fmt.Sprintf("parcel.%d", g.id))
	case g.path == "/beat":
		h.Set("Cache-Groups", group)
	}
	switch g.path {
	case "/expire":
		h.Set("Set-Cookie", "sid=; Max-Age=0")
	case "/rotate":
		h.Set("Set-Cookie", "sid="+r.URL.Query().Get("to"))
	}
	body := modelBody(n)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(g.status)
	if fault == cut {
		_, _ = io.WriteString(w, body[:len(body)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, body)
}

// raise notes that the polls of a path, or of one target, see a parcel's version at least.
func (m *modelApp) raise(what string, version int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.floors[what] = max(m.floors[what], version)
}

// changeParcel changes a parcel, without anybody's request, and returns its version.
func (m *modelApp) changeParcel(id int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parcels[id]++
	return m.parcels[id]
}

// modelAsk is a poll on its way, and the least that its response may tell.
type modelAsk struct {
	*modelPlace
	method, target, body, sid, lang string
	tag                             string // that the client has
	id                              int
	parcel, own, who                int
	sent                            time.Time
	passed                          time.Time // when a poll of the session has reached the app at last, where one has to
}

// name is what stands for what a client has of such a response.
func (a *modelAsk) name() string { return a.host + a.target + " " + a.lang + " " + a.sid }

// passKey is what stands for the polls of a session of which one has to reach the app from time to time.
func passKey(host, path string, id int, sid string) string {
	return fmt.Sprint(host, path, " ", id, " ", sid)
}

// ask notes that a poll is sent now.
func (m *modelApp) ask(a *modelAsk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.session(a.sid)
	a.own, a.who = s.ownFloor, s.whoFloor
	a.parcel = max(m.floors[a.ofID(a.id)], m.floors[a.ofTarget(a.target)])
	if a.pass { // of the session, whatever it asks
		for id := range modelParcels {
			if at := m.reached[passKey(a.host, a.path, id, a.sid)]; at.After(a.passed) {
				a.passed = at
			}
		}
	}
	a.sent = time.Now()
	if a.held {
		m.asked[a] = true
	}
}

// answers notes that a poll is on its way no longer.
func (m *modelApp) answers(a *modelAsk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asked, a)
}

// waiting returns the polls for a parcel that are on their way and may be held.
func (m *modelApp) waiting(id int) (list []*modelAsk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a := range m.asked {
		if a.id == id {
			list = append(list, a)
		}
	}
	return list
}

// still returns those of some polls that are still on their way.
func (m *modelApp) still(list []*modelAsk) []*modelAsk {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(list, func(a *modelAsk) bool { return !m.asked[a] })
}

// check returns what is wrong with the response to a poll; empty: nothing. A hit is one that Holdfast has answered from memory.
func (m *modelApp) check(a *modelAsk, status int, etag string, body string, hit bool) string {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	n, known := 0, false
	switch {
	case status == 304:
		if n, known = m.tags[a.tag]; !known {
			return "is told that it has the response already"
		}
	case a.method == "HEAD" && etag != "":
		n, known = m.tags[etag]
	case a.method != "HEAD":
		text, _, _ := strings.Cut(body, " ")
		number, err := strconv.Atoi(text)
		if err != nil && status >= 502 && m.faults > 0 { // Holdfast's own
			return ""
		}
		if n, known = number, err == nil && number < len(m.given) && body == modelBody(number); !known {
			return fmt.Sprintf("is answered with %d, %.60q", status, body)
		}
		if etag != "" {
			m.tags[etag] = n
		}
	}
	if !known {
		return ""
	}
	g := &m.given[n]
	who := func(g *modelGiven) string {
		return fmt.Sprintf("%s%s %s of session %q by app %s", g.host, g.target, g.body, g.sid, g.app)
	}
	switch {
	case g.app != a.app || g.host != a.host:
		return "is given what was the answer to " + who(g)
	case hit && !a.rule:
		return "is answered from memory, and no rule says so"
	case hit && a.pass && a.sent.Sub(a.passed) > modelPass+modelSlack:
		return fmt.Sprintf("is answered from memory, and none of its session has reached the app for %v", a.sent.Sub(a.passed))
	case g.path != a.path || g.id != a.id || !a.byID && g.target != a.target || g.body != a.body:
		return "is given what was the answer to " + who(g)
	case a.private && g.sid != a.sid:
		return "is given what was the answer to " + who(g)
	case a.path == "/page" && g.lang != a.lang:
		return fmt.Sprintf("is given the language %q", g.lang)
	case g.parcel < a.parcel:
		return fmt.Sprintf("is given version %d of the parcel, after it was told of %d", g.parcel, a.parcel)
	case a.private && g.own < a.own:
		return fmt.Sprintf("is given what it had before its write %d: %d", a.own, g.own)
	case a.private && g.who < a.who:
		users := m.sessions[a.sid].users
		return fmt.Sprintf("is given the answer to %q, and is %q since", users[g.who], users[a.who])
	case g.status >= 400 && !g.heard.IsZero() && g.heard.Before(a.sent):
		return fmt.Sprintf("is given an error, %d, that another had before", g.status)
	}
	if old := a.sent.Sub(g.heard); hit && !g.heard.IsZero() && old > a.longest()+modelSlack {
		return fmt.Sprintf("is given what is %v old", old)
	}
	if !hit || g.heard.IsZero() {
		g.heard = now
	}
	return ""
}

// answered notes that a session's own change has been answered: its polls from now on see it. n is the number of the response.
func (m *modelApp) answered(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n >= len(m.given) {
		return
	}
	g := &m.given[n]
	s := m.session(g.sid)
	s.ownFloor, s.whoFloor = max(s.ownFloor, g.own), max(s.whoFloor, g.who)
}

// leak returns what was left in progress.
func (a *absorbed) leak(t *testing.T) {
	t.Helper()
	if st := a.s.cache.Store.Stats(); st.Flights != 0 {
		t.Errorf("%d fetches are left", st.Flights)
	}
	wiretest.Eventually(t, "no poll is held any more", func() bool {
		held := a.s.cache.held.Stats()
		return held.Held == 0 && held.Bytes == 0
	})
}
