package rules

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/cache"
)

// app is a model of one: parcels that anybody changes, and for each session a user and a count of what it has written. Its
// answer to a poll depends on the parcel and on who asks.
type app struct {
	parcels [3]int
	written map[string]int    // by session
	users   map[string]string // the same
}

// sessionOf returns the session of a request, as a PHP of old sees it: the first cookie counts, and names are decoded.
func (a *app) sessionOf(q *cache.Request) string {
	line, _ := q.Field("cookie")
	for pair := range strings.SplitSeq(string(line), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if name, _ = url.QueryUnescape(name); strings.ReplaceAll(name, ".", "_") == "PHP_SESS" {
			return value
		}
	}
	return ""
}

// answer is what the app says, as of now.
type answer struct {
	session string
	user    string
	id      int
	parcel  int
	written int
	at      time.Time
}

func (a *app) answer(q *cache.Request, now time.Time) answer {
	query, _ := q.Query()
	values, _ := url.ParseQuery(string(query))
	r := answer{session: a.sessionOf(q), at: now}
	r.user = a.users[r.session]
	_, _ = fmt.Sscan(values.Get("id"), &r.id)
	r.parcel, r.written = a.parcels[r.id], a.written[r.session]
	return r
}

// world is users with browsers, in front of the app.
type world struct {
	t       *testing.T
	r       *rand.Rand
	app     app
	rules   *Set
	store   *cache.Store
	now     time.Time
	answers []answer       // by the number that is the body
	open    map[*poll]bool // not answered yet
	leading []*poll        // of these
	hits    int
	waited  int
}

// poll is a request that is not answered yet.
type poll struct {
	w       *world
	q       *cache.Request
	rule    *Rule
	key     cache.Key
	flight  *cache.Flight
	answer  int // the app's; -1: it has not come yet
	parcel  int // what its user knows of, by what was told before
	written int
	again   bool
	began   time.Time
}

const pollFresh = 10 * time.Second

// request returns a poll of a session, as browsers and those who look for holes send it.
func (w *world) request(session string, id int) *cache.Request {
	target := fmt.Sprintf("/status.php?id=%d", id)
	switch w.r.IntN(40) {
	case 0:
		target = fmt.Sprintf("/status.php?%%69d=%d", id)
	case 1:
		target += fmt.Sprintf("&_=%d", w.r.IntN(3))
	case 2:
		target = fmt.Sprintf("/%%73tatus.php?id=%d", id)
	}
	text := target
	if session != "" {
		name := "PHP_SESS"
		switch w.r.IntN(40) {
		case 0:
			name = "%50HP_SESS"
		case 1:
			name = "PHP.SESS"
		}
		text += "\nCookie: " + [...]string{"", "theme=dark; ", "theme=light; ", "a,b=c; "}[w.r.IntN(13)%4] + name + "=" + session
	}
	return requestOf(w.t, text)
}

func (w *world) poll() {
	session := [...]string{"s0", "s1", "s2", "s3", ""}[w.r.IntN(5)]
	id := w.r.IntN(3)
	q := w.request(session, id)
	p := &poll{w: w, q: q, answer: -1, parcel: w.app.parcels[id], written: w.app.written[w.app.sessionOf(q)], began: w.now}
	p.rule = w.rules.Whole().Match(q)
	k, why := p.rule.Key(q)
	if p.key = k; why != cache.None {
		return // the app answers
	}
	w.open[p] = true
	if e, state := w.store.Find(k, q.Fields, w.now); state == cache.Fresh {
		w.hits++
		p.finish(e)
		return
	}
	p.begin()
}

func (p *poll) begin() {
	turn := p.w.store.Begin(&cache.Ask{Key: p.key, Fields: p.q.Fields, Place: p.rule.Place(p.q), Waiter: p, Again: p.again}, p.w.now)
	switch turn.Role {
	case cache.Hit:
		p.finish(turn.Entry)
	case cache.Leader:
		p.lead(turn.Flight)
	case cache.Wait:
		p.w.waited++
	}
}

func (p *poll) lead(f *cache.Flight) {
	p.flight, p.answer = f, -1
	p.w.leading = append(p.w.leading, p)
}

// Wake implements cache.Waiter.
func (p *poll) Wake(r cache.Result) {
	switch r.Outcome {
	case cache.Answer:
		p.finish(r.Entry)
	case cache.Lead:
		p.lead(r.Flight)
	case cache.Again:
		p.again = true
		p.begin()
	case cache.Alone:
		delete(p.w.open, p)
	}
}

// finish gives the client a stored answer.
func (p *poll) finish(e *cache.Entry) {
	var n int
	_, _ = fmt.Sscan(string(e.Body()), &n)
	p.deliver(p.w.answers[n])
}

// deliver checks what a client is given.
func (p *poll) deliver(r answer) {
	w := p.w
	own := w.app.answer(p.q, w.now)
	switch {
	case !w.open[p]:
		w.t.Fatal("answered twice")
	case r.session != own.session || r.user != own.user || r.id != own.id:
		w.t.Fatalf("%q of %q for parcel %d is given what %q was told of %d", p.q.Target, own.user, own.id, r.user, r.id)
	case r.written < p.written:
		w.t.Fatalf("%q has written %d times and is told of %d", own.user, p.written, r.written)
	case r.parcel < p.parcel && len(w.rules.All()[0].template) > 0:
		w.t.Fatalf("%q has been told of state %d of parcel %d, and is given %d", own.user, p.parcel, own.id, r.parcel)
	case w.now.Sub(r.at) >= pollFresh && r.at.Before(p.began):
		w.t.Fatalf("an answer is %v old", w.now.Sub(r.at))
	}
	delete(w.open, p)
}

// step lets the app answer one of the polls, or the client be given that; or the client goes away.
func (w *world) step() {
	if len(w.leading) == 0 {
		return
	}
	i := w.r.IntN(len(w.leading))
	p := w.leading[i]
	if p.answer < 0 {
		w.answers = append(w.answers, w.app.answer(p.q, w.now))
		p.answer = len(w.answers) - 1
		return
	}
	w.leading = append(w.leading[:i], w.leading[i+1:]...)
	if w.r.IntN(8) == 0 {
		delete(w.open, p)
		w.store.HandOver(p.flight, w.now)
		return
	}
	r := cache.Response{Status: 200}
	v := cache.Judge(&p.rule.Policy, p.flight.Place(), p.q, r, w.now)
	e := cache.NewEntry(&v, r, []byte("200 OK"), fmt.Append(nil, p.answer), w.answers[p.answer].at)
	w.store.Finish(p.flight, e, w.now)
	p.deliver(w.answers[p.answer])
}

// write is a request of a session that changes something: what is stored of the session is dropped before it is answered.
func (w *world) write() {
	session := [...]string{"s0", "s1", "s2", "s3"}[w.r.IntN(4)]
	q := requestOf(w.t, "POST /save.php\nCookie: PHP_SESS="+session)
	w.app.written[session]++
	for _, t := range w.rules.Sessions(q) {
		w.store.InvalidateSession(t, nil)
	}
	w.store.Changed(q, cache.Response{Status: 200})
}

// change changes a parcel, and says so.
func (w *world) change() {
	id := w.r.IntN(3)
	w.app.parcels[id]++
	w.store.InvalidateChannel(fmt.Sprintf("parcel.%d", id))
}

// logIn gives a session to another user, or to none: apps do that without another cookie.
func (w *world) logIn() {
	session := [...]string{"s0", "s1", "s2", "s3"}[w.r.IntN(4)]
	for p := range w.open { // what is under way was asked by the user before
		if w.app.sessionOf(p.q) == session {
			return
		}
	}
	w.app.users[session] = [...]string{"anna", "bert", "carla", ""}[w.r.IntN(4)]
	for _, t := range w.rules.Sessions(requestOf(w.t, "POST /login.php\nCookie: PHP_SESS="+session)) {
		w.store.InvalidateSession(t, nil)
	}
}

// TestUsers: among random users, sessions, spellings, writes, logins and changes, nobody is given another's answer, one that
// is older than the rule allows, or one from before a write of the own session or a change that was told.
func TestUsers(t *testing.T) {
	hits, waited := 0, 0
	for seed := range uint64(40) {
		h := cache.NewHasher()
		set, err := New([]Options{{
			Name: "status", Match: "/status.php", Parts: []string{"query", "-query._", "session"}, Channel: "parcel.{query.id}",
			Policy: cache.Policy{Fresh: pollFresh},
		}}, []string{"PHP_SESS"}, h)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{
			t: t, open: map[*poll]bool{}, r: rand.New(rand.NewPCG(seed, 3)), rules: set, store: cache.NewStore(cache.Options{Bytes: 40_000}, h),
			now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC),
			app: app{written: map[string]int{}, users: map[string]string{"s0": "anna", "s1": "bert", "s2": "bert", "s3": ""}},
		}
		for range 1500 {
			switch w.r.IntN(16) {
			case 0, 1, 2, 3, 4, 5:
				w.poll()
			case 6, 7, 8, 9, 10, 11, 12, 14:
				w.step()
			case 13:
				switch w.r.IntN(4) {
				case 0:
					w.change()
				case 1:
					w.write()
				case 2:
					w.logIn()
				}
			case 15:
				w.now = w.now.Add(time.Duration(w.r.IntN(1500)) * time.Millisecond)
			}
		}
		hits, waited = hits+w.hits, waited+w.waited
	}
	if hits < 2000 || waited < 1000 {
		t.Errorf("only %d hits, and %d have waited", hits, waited)
	}
}
