package watch

import (
	"container/heap"
	"container/list"
	"context"
	"crypto/sha256"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channelurl"
	"holdfast/internal/hub"
	"holdfast/internal/throttle"
)

const (
	restTime   = time.Minute      // what is known of a channel that nobody holds stays for so long
	maxBackoff = time.Minute      // between two requests for a channel that fails; an interval above it counts as it is
	maxPutOffs = 4                // in a row, by messages of others
	maxWait    = 5 * time.Minute  // that the app's Retry-After is followed for
	turnTime   = 30 * time.Second // or ten intervals: then a channel gives its place to one that waits
	minAgain   = 10 * time.Second // until a value is stored again that history has lost; doubled each time,
	maxAgain   = 10 * time.Minute // up to this
)

// Rule says for which channels the app is asked, and how.
type Rule struct {
	Key     string // of the configuration, such as watch[0]
	URL     *channelurl.Template
	Every   time.Duration
	Data    Data
	Cookies bool // requests have a Cookie: the app needs to begin no session

	// Get requests a path of the app.
	Get func(path string, known appcall.Validators) (appcall.Page, error)
}

// Options are the properties of a Watcher. All but Log are required.
type Options struct {
	Rules       []Rule // the first that matches a channel counts
	InFlight    int    // requests at a time
	MaxChannels int    // that are asked for; others wait

	// Last and Renew are those of the hub.
	Last    func(channel string) (kept *hub.Message, id hub.ID)
	Renew   func(channel string, id hub.ID) (stored bool)
	Publish func(hub.Draft) (hub.Receipt, error)

	Log *slog.Logger // nil: no log
}

// Watcher asks the app. Any number of goroutines may use it.
type Watcher struct {
	o     Options
	rules []*rule
	log   *slog.Logger
	wakec chan struct{} // holds one: look again
	group sync.WaitGroup
	full  throttle.Throttle // channels that wait

	mu       sync.Mutex // guards what follows, and the entries; never held while calling out
	channels map[string]*entry
	due      schedule  // channels that are held and neither asked nor waiting
	resting  list.List // of *entry: channels that nobody holds, by the time since when
	waiting  list.List // of *entry: held, and beyond MaxChannels
	failing  list.List // the same, of those whose newest request failed
	failed   bool      // the next place is for one of failing
	asking   int       // workers
	stopped  bool
	stats    Stats // but for what is counted when it is read
}

// rule is a Rule and what has been said of it.
type rule struct {
	Rule
	notices *notices
	down    bool // guarded by Watcher.mu: the app could not be reached
}

// entry is a channel.
type entry struct {
	channel string // never changed
	rule    *rule  // the same
	path    string // the same: what the app is asked for

	// Guarded by Watcher.mu.
	held   bool
	asked  bool          // now
	due    time.Time     // when it is to be asked next
	index  int           // in Watcher.due; -1: it is not there
	place  *list.Element // in resting, waiting or failing
	since  time.Time     // when it began to rest
	placed time.Time     // when it got its place among MaxChannels
	urgent bool          // the app says that its state has changed
	reason string        // why the newest request failed; empty: it did not

	// Owned by whoever asks.
	begun   bool // it was asked before
	known   bool // sum is that of a value
	sum     [sha256.Size]byte
	valid   appcall.Validators
	message hub.ID   // which has the value; zero: none
	kept    bool     // history has kept it
	lost    bool     // and has it no more
	again   struct { // when history has lost it
		wait time.Duration // until the value is stored once more
		at   time.Time     // not before
	}
	last     hub.ID // newest of the channel when it was asked
	putOffs  int    // in a row
	failures int    // in a row
	changes  int    // in a row
}

// Stats are the numbers of a Watcher. Those with a uint64 only grow.
type Stats struct {
	Channels int           // that are asked for
	Waiting  int           // beyond MaxChannels
	Failing  int           // whose newest request failed
	InFlight int           // requests
	Late     time.Duration // of the channel that is due for longest

	Requests, Changes, Unchanged uint64
	Failures                     map[string]int64 // by reason
}

// New returns a watcher. It starts nothing.
func New(o Options) *Watcher {
	w := &Watcher{o: o, log: o.Log, wakec: make(chan struct{}, 1), channels: make(map[string]*entry)}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range o.Rules {
		w.rules = append(w.rules, &rule{Rule: r, notices: newNotices()})
	}
	w.stats.Failures = make(map[string]int64)
	for _, reason := range Reasons {
		w.stats.Failures[reason] = 0
	}
	return w
}

// Wants reports whether a channel is asked for while somebody holds it. It does not allocate.
func (w *Watcher) Wants(channel string) bool { return w.rule(channel) != nil }

func (w *Watcher) rule(channel string) *rule {
	for _, r := range w.rules {
		if r.URL.Match(channel) {
			return r
		}
	}
	return nil
}

// Occupied takes note that channels got their first subscriber or lost their last one. Call it in the order of these, one
// call after the other.
func (w *Watcher) Occupied(list []hub.Occupancy) {
	now := time.Now()
	for _, o := range list {
		r := w.rule(o.Channel)
		if r == nil {
			continue
		}
		if o.Is {
			w.hold(r, o.Channel, now)
		} else {
			w.leave(o.Channel, now)
		}
	}
}

// Changed takes note that the state of a channel has changed, as the app says: it is due at once. What is on its way may be
// older, and is asked for again.
func (w *Watcher) Changed(channel string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.channels[channel]
	if e == nil {
		return
	}
	e.urgent, e.due = true, time.Now()
	if e.index >= 0 {
		heap.Fix(&w.due, e.index)
		w.wake()
	}
}

// Serve asks the app until ctx ends, and waits for the requests in progress.
func (w *Watcher) Serve(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			w.stopped = true
			w.mu.Unlock()
			w.group.Wait()
			return
		case <-w.wakec:
		case <-timer.C:
		}
		timer.Reset(w.dispatch(time.Now()))
	}
}

func (w *Watcher) wake() {
	select {
	case w.wakec <- struct{}{}:
	default:
	}
}

// Stats may be called from any goroutine.
func (w *Watcher) Stats() Stats {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Waiting = w.inLineLocked()
	s.Channels = len(w.channels) - w.resting.Len() - s.Waiting
	s.InFlight = w.asking
	if len(w.due) > 0 {
		s.Late = max(now.Sub(w.due[0].due), 0)
	}
	s.Failures = make(map[string]int64, len(w.stats.Failures))
	for reason, n := range w.stats.Failures {
		s.Failures[reason] = n
	}
	return s
}

// backoff returns the time until the next request for a channel that has failed n times in a row: twice the interval, then
// four times and so on, less up to a quarter, so that channels that failed together do not come back together.
func backoff(every time.Duration, n int) time.Duration {
	d := every
	for ; n > 0 && d < maxBackoff; n-- {
		d *= 2
	}
	d = max(min(d, maxBackoff), every)
	return d - rand.N(d/4+1)
}
