package demo

import (
	"sync"
	"time"
)

// A pane follows the parcel in a way of its own, and has a path of its own, so that a rule is for it alone.
type pane string

const (
	panePoll     pane = "poll"
	paneAbsorbed pane = "absorbed"
	paneTold     pane = "told"
	paneShim     pane = "shim"
	paneWatch    pane = "watch"
	panePush     pane = "push"
)

// paneView is a pane of the page as it is at first. The page counts changes from there.
type paneView struct {
	ID         pane
	Title, How string
	Now        state
	Steps      []string
}

// paneViews are the panes in the order of the steps from polling to push.
var paneViews = [...]paneView{
	{ID: panePoll, Title: "Polling", How: "Every poll reaches the app."},
	{ID: paneAbsorbed, Title: "Absorbed polls", How: "Holdfast answers them for 10 s."},
	{ID: paneTold, Title: "A word from the app", How: "Absorbed until the app publishes."},
	{ID: paneShim, Title: "Browser shim", How: "Polls do not leave the browser."},
	{ID: paneWatch, Title: "Shared poll", How: "Holdfast polls once for all pages."},
	{ID: panePush, Title: "Push", How: "The app publishes; nobody polls."},
}

// cost is what the pages of one pane had of the app, all together.
type cost struct {
	Answered int   `json:"answered"` // requests of the pane's status
	BusyMS   int64 `json:"busy_ms"`  // how long the app worked on them
}

// ledger has the cost of each pane. The app made it at since, in Unix time in ms.
type ledger struct {
	since int64

	mu    sync.Mutex
	spent map[pane]cost
}

func newLedger(now time.Time) *ledger {
	l := &ledger{since: now.UnixMilli(), spent: make(map[pane]cost)}
	for _, p := range paneViews {
		l.spent[p.ID] = cost{}
	}
	return l
}

// has reports whether there is such a pane.
func (l *ledger) has(p pane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.spent[p]
	return ok
}

// charge books one answer to a pane.
func (l *ledger) charge(p pane, busy time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.spent[p]
	c.Answered++
	c.BusyMS += busy.Milliseconds()
	l.spent[p] = c
}

// costs is the part of an answer that says what all panes have cost.
type costs struct {
	Since int64         `json:"since"` // counts begin anew where this is another
	Spent map[pane]cost `json:"costs"`
}

func (l *ledger) costs() costs {
	l.mu.Lock()
	defer l.mu.Unlock()
	spent := make(map[pane]cost, len(l.spent))
	for p, c := range l.spent {
		spent[p] = c
	}
	return costs{l.since, spent}
}
