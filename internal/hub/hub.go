package hub

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"holdfast/internal/occupancy"
)

// Options are the properties of a hub.
type Options struct {
	Lanes int // number of event loops that deliver; zero means 1

	// Rule returns the history limits of a channel, or false if nothing may be published to it. It is called without a
	// lock, from any goroutine. Nil allows every channel and stores nothing.
	Rule func(channel string) (History, bool)

	// Watch reports whether TakeOccupancy is to report a channel. It is called without a lock, from any goroutine, and
	// its result for a name must never change. Nil watches none.
	Watch func(channel string) bool

	// OnPublish is called with the channel of each message before it is accepted, so before a subscriber can have it. It is
	// called without a lock, from any goroutine. Nil: nothing is.
	OnPublish func(channel string)

	Wildcards bool // subscribers may join patterns: orders.*, orders.**

	// HistoryTotal is the memory of all histories together; zero means 64 MiB. Messages that were read from them lately
	// take up to an eighth of that besides, and those that subscribers still have to get, as much once more at most.
	HistoryTotal int64
	Backlog      int64 // bytes accepted and not yet delivered; beyond it, Publish returns ErrBusy; zero means 64 MiB

	Now func() time.Time // nil means time.Now

	// Rules is for a hub with a store: a text that changes when Rule stores messages of other channels than before.
	// After a change, the store can't know what was lost of a channel without stored messages.
	Rules string
}

const defaultTotal = 64 << 20

// lostFloors is how many entries deleted channels share for their floors: 32 KiB.
const lostFloors = 4096

// Hub has the channels, their messages and their subscribers.
type Hub struct {
	// Static after construction.
	lanes        []Lane
	rule         func(string) (History, bool)
	watch        func(string) bool           // nil: none
	onPublish    func(channel string)        // nil: not set
	onOccupancy  func()                      // set before use, never changed
	onLarge      func(*Message, func()) bool // set before use, never changed; nil: not set
	now          func() time.Time
	historyTotal int64
	backlogMax   int64
	origin       origin
	saving       *saving // nil: history is in memory only; set by Import, too

	mu          sync.Mutex // guards what follows, channels, histories, and the fields that say so; never held while calling out
	last        ID         // newest accepted
	channels    map[string]*channel
	lost        [lostFloors]ID // see lostFloor
	held        histories
	wild        wildcards
	occupancies occupancy.Changes
	rendering   map[*Message][]*Group // groups that wait until a message is rendered
	groups      int
	subscribers int
	backlog     int64
	publishes   struct{ accepted, refused uint64 } // messages
	work        struct {
		slices uint64 // calls of giveWayLocked
		spent  int    // since then, see spendLocked
	}
}

// New returns a hub. It starts nothing.
func New(o Options) *Hub {
	h := &Hub{
		lanes:        make([]Lane, max(o.Lanes, 1)),
		rule:         o.Rule,
		watch:        o.Watch,
		onPublish:    o.OnPublish,
		now:          o.Now,
		historyTotal: o.HistoryTotal,
		backlogMax:   o.Backlog,
		origin:       origin{rules: o.Rules, seed: rand.Uint32()},
		channels:     make(map[string]*channel),
		rendering:    make(map[*Message][]*Group),
	}
	if h.rule == nil {
		h.rule = func(string) (History, bool) { return History{}, true }
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.historyTotal == 0 {
		h.historyTotal = defaultTotal
	}
	h.historyTotal = min(h.historyTotal, maxRecords)
	h.held.copies.limit = h.historyTotal / copiesPart
	if h.backlogMax == 0 {
		h.backlogMax = defaultTotal
	}
	h.origin.start = ID(h.now().UnixMilli()) << 20
	h.last = h.origin.start
	for i := range h.lost {
		h.lost[i] = h.origin.start // messages from before the start may be lost
	}
	if o.Wildcards {
		h.wild.branches = make(map[string]*branch)
		h.wild.lost = slices.Repeat([]ID{h.origin.start}, lostFloors)
		h.wild.fresh.fresh.prev, h.wild.fresh.fresh.next = &h.wild.fresh, &h.wild.fresh
	}
	h.held.root.prev, h.held.root.next = &h.held.root, &h.held.root
	for i := range h.lanes {
		h.lanes[i] = Lane{hub: h, several: make(map[string]*Group)}
	}
	return h
}

// Lane returns the lane of event loop i.
func (h *Hub) Lane(i int) *Lane { return &h.lanes[i] }

// giveWayLocked releases the lock for others in the middle of long work.
func (h *Hub) giveWayLocked() {
	h.work.slices++
	h.work.spent = 0
	h.mu.Unlock()
	h.mu.Lock()
}
