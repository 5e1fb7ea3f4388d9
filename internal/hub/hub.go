package hub

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// Options are the properties of a hub.
type Options struct {
	Lanes int // event loops that deliver; zero means 1

	// Rule returns what is kept of a channel; false refuses to publish to it. It is called without a
	// lock, from any goroutine. Nil takes every channel and keeps nothing.
	Rule func(channel string) (History, bool)

	// Watch says of which channels TakeOccupancy tells. It is called without a lock, from any goroutine, and must
	// always say the same of a name. Nil watches none.
	Watch func(channel string) bool

	Wildcards bool // patterns may be joined: orders.*, orders.**

	HistoryTotal int64 // bytes that all histories may take together, with renderings; zero means 64 MiB
	Backlog      int64 // bytes accepted and not yet delivered, beyond which Publish refuses; zero means 64 MiB

	Now func() time.Time // zero means time.Now

	// Rules is for a hub with a store: a text that is another one when Rule keeps something of other channels than
	// before. Then the store cannot know what was lost of a channel of which it has nothing.
	Rules string
}

const defaultTotal = 64 << 20

// lostFloors is how many entries forgotten channels share to remember what they lost: 32 KiB.
const lostFloors = 4096

// Hub has the channels and everything about them.
type Hub struct {
	// Static after construction.
	lanes        []Lane
	rule         func(string) (History, bool)
	watch        func(string) bool           // nil: none
	onOccupancy  func()                      // set before use, never changed
	onLarge      func(*Message, func()) bool // set before use, never changed; nil: nobody renders
	now          func() time.Time
	historyTotal int64
	backlogMax   int64
	start        ID
	seed         maphash.Seed
	saving       *saving // nil: history is in memory only

	mu          sync.Mutex // guards what follows, channels, histories, and the fields that say so; never held while calling out
	last        ID         // newest accepted
	channels    map[string]*channel
	lost        [lostFloors]ID // see lostFloor
	held        histories
	wild        wildcards
	occupancies occupancies
	rendering   map[*Message][]*Group // that wait until it is rendered
	groups      int
	subscribers int
	backlog     int64
	published   uint64
	refused     uint64
	givenWay    uint64 // calls of giveWayLocked
}

// New returns a hub. It starts nothing.
func New(o Options) *Hub {
	h := &Hub{
		lanes:        make([]Lane, max(o.Lanes, 1)),
		rule:         o.Rule,
		watch:        o.Watch,
		now:          o.Now,
		historyTotal: o.HistoryTotal,
		backlogMax:   o.Backlog,
		seed:         maphash.MakeSeed(),
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
	if h.backlogMax == 0 {
		h.backlogMax = defaultTotal
	}
	h.start = ID(h.now().UnixMilli()) << 20
	h.last = h.start
	for i := range h.lost {
		h.lost[i] = h.start // nothing is known of what was before
	}
	if o.Wildcards {
		h.wild.branches = make(map[string]*branch)
		h.wild.lost = slices.Repeat([]ID{h.start}, lostFloors)
		h.wild.fresh.fresh.prev, h.wild.fresh.fresh.next = &h.wild.fresh, &h.wild.fresh
	}
	h.held.root.prev, h.held.root.next = &h.held.root, &h.held.root
	for i := range h.lanes {
		h.lanes[i] = Lane{hub: h, single: make(map[*channel]*Group), several: make(map[string]*Group)}
	}
	return h
}

// Lane returns the lane of event loop i.
func (h *Hub) Lane(i int) *Lane { return &h.lanes[i] }

// giveWayLocked lets others have the lock in the middle of long work.
func (h *Hub) giveWayLocked() {
	h.givenWay++
	h.mu.Unlock()
	h.mu.Lock()
}
