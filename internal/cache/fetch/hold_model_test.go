package fetch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"holdfast/internal/cache"
	"holdfast/internal/http1"
)

var holdSeeds = flag.Uint64("hold.seeds", 10, "how many seeds TestHoldModel tries")

// holdWorld is pages in browsers that poll one rule whose answer changes from time to time.
type holdWorld struct {
	*world
	random   *rand.Rand
	fetch    *Fetch
	answer   Answer
	version  int
	alike    bool // pages have few URLs
	pages    []*holdPage
	answered int // polls that were answered at once, as their page lacked nothing
	held     time.Duration
	polled   time.Duration // of all pages that poll
	longest  time.Duration // that a page without the answer was held
	late     int           // how many of these were held for more than shortHold
	lacked   int           // how many polls came from a page that lacked the answer
}

// holdPage is a page. It polls again a while after each answer, and shows nothing but what it was given.
type holdPage struct {
	agent, at string
	pause     time.Duration // until it polls again
	has       int           // the version that it was given at last; 0: none
	until     time.Time     // it polls again then, or is held
	before    before        // how it is held
	isHeld    bool
	since     time.Time // it lacks the answer and has polled since; zero: not
}

const holdOfModel = 25 * time.Second

func newHoldWorld(t *testing.T, seed uint64, agents, pages int) *holdWorld {
	w := &holdWorld{world: newWorld(t, cache.Options{}, 0), alike: pages > agents, random: rand.New(rand.NewPCG(seed, 5))}
	_, f := w.begin("1", "/poll", "")
	w.fetch = f
	w.answer = Answer{rule: f.rule, key: f.key}
	w.answer.rule.Hold = holdOfModel
	w.change()
	for i := range pages {
		p := &holdPage{
			agent: fmt.Sprint("agent", i%agents), at: fmt.Sprint("/page", w.random.IntN(2)),
			pause: time.Duration(w.random.IntN(9000)) * time.Millisecond, until: w.now.Add(time.Duration(w.random.IntN(60)) * time.Second),
		}
		if w.random.IntN(3) > 0 {
			p.pause /= 10
		}
		w.pages = append(w.pages, p)
	}
	return w
}

// change gives the rule another answer, and ends what is held.
func (w *holdWorld) change() {
	w.version++
	policy := cache.Policy{Fresh: 24 * time.Hour, IgnoreApp: true}
	r := cache.Response{Status: 200}
	v := cache.Judge(&policy, w.fetch.place, &w.fetch.req, r, w.now)
	w.answer.Entry = cache.NewEntry(&v, r, []byte("200 OK"), fmt.Append(nil, w.version), w.now)
	for _, p := range w.pages {
		if p.isHeld {
			p.poll(w)
		}
	}
}

// poll is a request of the page, or one that is made anew after it was held.
func (p *holdPage) poll(w *holdWorld) {
	if p.has != w.version && p.since.IsZero() {
		p.since = w.now
		w.lacked++
	}
	q := &HoldQuery{Client: netip.MustParseAddr("192.0.2.1"), Before: before{}, Fields: []http1.Field{
		{Name: []byte("User-Agent"), Value: []byte(p.agent)}, {Name: []byte("Referer"), Value: []byte(p.at)},
	}}
	if p.isHeld {
		q.Before = p.before
	}
	d := w.HoldFor(&w.answer, q, w.now)
	if p.isHeld = d > 0; p.isHeld {
		p.until, p.before = w.now.Add(d), before{w.now.Add(d), w.answer.Sum()}
		return
	}
	if p.since.IsZero() {
		w.answered++
	} else {
		waited := w.now.Sub(p.since)
		w.longest = max(w.longest, waited)
		if waited > shortHold {
			w.late++
		}
	}
	p.has, p.since = w.version, time.Time{}
	p.until = w.now.Add(p.pause)
	switch w.random.IntN(60) {
	case 0: // the computer sleeps
		p.until = w.now.Add(time.Duration(w.random.IntN(100)) * time.Second)
	case 1: // another page
		switch { // loaded anew, or by a script that changes the URL
		case w.random.IntN(2) == 0:
			w.given.put(clientOf(q.Client, q.Fields), note{last: w.now}, w.now)
		case w.alike:
			p.at = fmt.Sprint("/page", w.random.IntN(2))
		default:
			p.at = fmt.Sprint("/page", w.random.Uint64())
		}
		p.has, p.until = 0, w.now.Add(time.Duration(w.random.IntN(int(loadTime/2))))
	}
}

// leave has the client of a held poll go away, and poll again.
func (p *holdPage) leave(w *holdWorld) {
	if p.isHeld {
		p.since = time.Time{}
		p.isHeld, p.until = false, w.now.Add(p.pause)
	}
}

// run lets ten minutes pass.
func (w *holdWorld) run() {
	const step = 100 * time.Millisecond
	for range int(10 * time.Minute / step) {
		w.now = w.now.Add(step)
		for _, p := range w.pages {
			switch {
			case p.isHeld:
				w.held += step
				w.polled += step
			case p.has != 0:
				w.polled += step
			}
			if !w.now.Before(p.until) {
				p.poll(w)
			}
		}
		switch w.random.IntN(200) {
		case 0:
			w.change()
		case 1:
			w.pages[w.random.IntN(len(w.pages))].leave(w)
		}
	}
}

// TestHoldModel: pages that poll, sleep, are left and loaded anew, while the answer changes. A page that does not have the
// answer is never held for more than a second if it is the only one of its browser. Where several are one for
// Holdfast, as their browsers have one address and one User-Agent, it may be held once for as long as the rule says, and
// hardly ever is.
//
//	go test ./internal/cache/fetch -run TestHoldModel -v -hold.seeds 1000
func TestHoldModel(t *testing.T) {
	for _, tt := range []struct {
		name          string
		agents, pages int
		longest       time.Duration
		late          float64 // of the polls of pages that lack the answer, at most
	}{
		{"a page each", 8, 8, shortHold, 0},
		{"two pages that look alike", 4, 8, holdOfModel, 0.02},
		{"all look alike", 1, 8, holdOfModel, 0.05},
	} {
		t.Run(tt.name, func(t *testing.T) {
			late, lacked, answered := 0, 0, 0
			var held, polled, longest time.Duration
			for seed := range *holdSeeds {
				w := newHoldWorld(t, seed, tt.agents, tt.pages)
				w.run()
				late, lacked, answered = late+w.late, lacked+w.lacked, answered+w.answered
				held, polled, longest = held+w.held, polled+w.polled, max(longest, w.longest)
			}
			t.Logf("%d polls of pages without the answer, %d held for more than %v, one for %v; %d others answered; held for %d%% of the time",
				lacked, late, shortHold, longest, answered, 100*held/polled)
			if longest > tt.longest+shortHold {
				t.Errorf("a page without the answer was held for %v; want %v at most", longest, tt.longest)
			}
			if float64(late) > tt.late*float64(lacked) {
				t.Errorf("of %d polls of pages without the answer %d were held for more than %v", lacked, late, shortHold)
			}
			if held < polled/2 || lacked < 1000 {
				t.Errorf("held for %v of %v only, or too little has happened", held, polled)
			}
		})
	}
}
