package cache

import (
	"sync"
	"time"

	"holdfast/internal/http1"
	"holdfast/internal/linked"
)

// Options bound a store.
type Options struct {
	Bytes        int64 // of everything that is kept; 0: 64 MB
	SessionBytes int64 // of what is kept of one session; 0: 1 MB
	MaxWaiters   int   // of one fetch; who comes then goes alone. 0: 16,384
	MaxVariants  int   // of one key, by Vary; 0: 128

	// FlightAge is how long a fetch has others wait for it. A request that comes later fetches itself. 0: 2 minutes.
	FlightAge time.Duration

	// Behind is called, with no mutex held, after an invalidation that leaves entries for Sweep to drop, of which some may be
	// watched. It must not block. nil: nobody is told.
	Behind func()
}

// MaxSwept is about how many entries one call of Store.Sweep drops at most.
const MaxSwept = 256

// The bounds of what one call does, so that none holds the mutex long.
const (
	maxDrops = MaxSwept
	maxSteps = 2048 // entries that are looked at for one to drop
	maxSpecs = 4    // sets of fields that responses of one key vary by
	maxLog   = 1024 // invalidations that are known to fetches which began before them
)

// Store keeps entries, and knows what is being fetched. Any goroutine may call it.
type Store struct {
	o      Options
	hasher *Hasher

	mu      sync.Mutex // guards what follows; never held while calling out
	seq     uint64     // the number of the last invalidation
	cleared uint64     // that of the last Clear
	lines   map[Key]*line
	tags    map[Tag]*tagList
	clock   clock
	flights flightTable
	log     changeLog
	stats   Stats
	dying   []*tagList // whose items are dead and not all dropped yet
	waking  []Waiter   // by unlock
	behind  bool       // unlock calls Options.Behind
}

// line is what is stored for one key.
type line struct {
	key   Key
	plain *item   // without Vary, or a mark
	specs []*spec // the one that was stored last comes first
}

// spec is the responses of a key that vary by the same fields.
type spec struct {
	names    []string
	variants map[Key]*item
}

// item is an entry in the store, or a mark: a memory that requests of its key are not to wait for each other.
type item struct {
	entry *Entry // nil: a mark
	place *Place
	until time.Time // of a mark
	why   Reason    // of a mark

	line    *line
	spec    *spec // nil: it is the line's plain one
	variant Key   // in spec

	seq   uint64    // when its fetch began
	began time.Time // the same
	size  int64
	slot  int       // in the clock
	used  bool      // since the clock's hand came by
	retry time.Time // until when it answers although it is stale, as the app has just failed
	nodes []node    // in the lists of its tags

	watches linked.List[*Watch] // those who watch it
}

// NewStore returns an empty store. The hasher is that of the rules.
func NewStore(o Options, h *Hasher) *Store {
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	if o.SessionBytes <= 0 {
		o.SessionBytes = 1 << 20
	}
	if o.MaxWaiters <= 0 {
		o.MaxWaiters = 16384
	}
	if o.MaxVariants <= 0 {
		o.MaxVariants = 128
	}
	if o.FlightAge <= 0 {
		o.FlightAge = 2 * time.Minute
	}
	return &Store{
		o: o, hasher: h, lines: map[Key]*line{}, tags: map[Tag]*tagList{}, flights: flightTable{byKey: map[flightKey]*Flight{}},
	}
}

// State is what Find has found.
type State uint8

// The states.
const (
	Miss  State = iota // nothing
	Fresh              // an entry that answers the request
	Stale              // one that may do so while it is fetched or if that fails, or be validated
	Pass               // what was fetched last was not kept; an entry is there if it can be validated
)

// Find looks up a request's key. fields are the request's, for Vary. It does not allocate.
func (s *Store) Find(k Key, fields []http1.Field, now time.Time) (*Entry, State) {
	s.mu.Lock()
	it := s.find(k, fields, now)
	state := Miss
	var e *Entry
	if it != nil {
		it.used = true
		e, state = it.entry, it.state(now)
	}
	if state == Fresh {
		s.stats.Hits++
	}
	s.unlock()
	return e, state
}

// state returns what a live item means for a request.
func (it *item) state(now time.Time) State {
	switch {
	case it.entry == nil:
		return Pass
	case it.entry.IsFresh(now):
		return Fresh
	case it.entry.fresh == 0: // it is validated each time, and who waits for that may have asked after a change
		return Pass
	}
	return Stale
}

// find returns the item of a request that was fetched last, nil if there is none. It drops those that it finds dead.
func (s *Store) find(k Key, fields []http1.Field, now time.Time) *item {
	l := s.lines[k]
	if l == nil {
		return nil
	}
	best := l.plain
	if best != nil && s.isDead(best, now) {
		s.drop(best, s.causeOf(best))
		best = nil
	}
	for i := 0; i < len(l.specs); {
		sp := l.specs[i]
		it := sp.variants[s.hasher.variant(sp.names, fields)]
		if it != nil && s.isDead(it, now) {
			s.drop(it, s.causeOf(it))
			it = nil
			if i < len(l.specs) && l.specs[i] != sp { // it was the last of its kind
				continue
			}
		}
		if it != nil && (best == nil || it.began.After(best.began)) {
			best = it
		}
		i++
	}
	return best
}

// isDead reports whether an item is of no more use, or was invalidated and not dropped yet.
func (s *Store) isDead(it *item, now time.Time) bool {
	if it.entry == nil && !now.Before(it.until) || it.entry != nil && !it.entry.isUseful(now) {
		return true
	}
	return s.isInvalid(it)
}

func (s *Store) isInvalid(it *item) bool {
	if it.seq < s.cleared {
		return true
	}
	for i := range it.nodes {
		if it.nodes[i].list.changed > it.seq {
			return true
		}
	}
	return false
}

// causeOf returns why a dead item is dropped.
func (s *Store) causeOf(it *item) Reason {
	if s.isInvalid(it) {
		return Purged
	}
	return Expired
}

// put stores an item in place of what is there. It returns why it does not; None: it does.
func (s *Store) put(it *item, k Key, names []string, variant Key, now time.Time) Reason {
	if it.size > s.o.Bytes/4 {
		return TooLarge
	}
	old := s.lines[k].at(names, variant)
	if old != nil && old.began.After(it.began) && !s.isDead(old, now) {
		return Superseded
	}
	if old != nil {
		s.drop(old, Replaced)
	}
	tags := it.place.tags
	if it.entry != nil {
		tags = it.entry.tags
	}
	if why := s.makeSessionRoom(it.place, it.size); why != None {
		return why
	}
	if !s.makeRoom(it.size, now) {
		return NoRoom
	}
	l := s.lines[k]
	if l == nil {
		l = &line{key: k}
	}
	it.line, it.variant = l, variant
	if len(names) == 0 {
		l.plain = it
	} else {
		for _, other := range s.specOf(l, names).variants { // any of them
			if len(other.spec.variants) >= s.o.MaxVariants {
				s.drop(other, VariantsFull)
			}
			break
		}
		it.spec = s.specOf(l, names) // a new one if that was the last
		it.spec.variants[variant] = it
	}
	s.lines[k] = l // also if it has been empty meanwhile
	s.clock.add(it)
	s.link(it, tags)
	s.stats.Bytes += it.size
	s.stats.Entries++
	if it.entry != nil {
		it.entry.item = it
	}
	return None
}

// at returns what is stored under the same Vary. There may be no line.
func (l *line) at(names []string, variant Key) *item {
	if l == nil {
		return nil
	}
	if len(names) == 0 {
		return l.plain
	}
	for _, sp := range l.specs {
		if sameNames(sp.names, names) {
			return sp.variants[variant]
		}
	}
	return nil
}

// specOf returns the spec of these names, which is the first then.
func (s *Store) specOf(l *line, names []string) *spec {
	for i, sp := range l.specs {
		if sameNames(sp.names, names) {
			copy(l.specs[1:i+1], l.specs[:i])
			l.specs[0] = sp
			return sp
		}
	}
	if len(l.specs) == maxSpecs {
		for _, it := range l.specs[maxSpecs-1].variants {
			s.drop(it, VariantsFull)
		}
	}
	sp := &spec{names: names, variants: map[Key]*item{}}
	l.specs = append([]*spec{sp}, l.specs...)
	return sp
}

func sameNames(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// drop takes an item out.
func (s *Store) drop(it *item, why Reason) {
	l := it.line
	if it.spec == nil {
		l.plain = nil
	} else if delete(it.spec.variants, it.variant); len(it.spec.variants) == 0 {
		for i, sp := range l.specs {
			if sp == it.spec {
				l.specs = append(l.specs[:i], l.specs[i+1:]...)
				break
			}
		}
	}
	if l.plain == nil && len(l.specs) == 0 {
		delete(s.lines, l.key)
	}
	s.clock.remove(it)
	s.unlink(it)
	s.endWatches(it)
	s.stats.Bytes -= it.size
	s.stats.Entries--
	s.stats.Dropped[why]++
	if it.entry != nil && it.entry.item == it {
		it.entry.item = nil
	}
}

// Due reports whether a session's request has to go to the app because none has for as long as every, and notes that this
// one does. The key is Rule.PassKey's.
func (s *Store) Due(k Key, p *Place, every time.Duration, now time.Time) bool {
	s.mu.Lock()
	defer s.unlock()
	if it := s.find(k, nil, now); it != nil {
		it.used = true
		return false
	}
	s.put(&item{place: p, until: now.Add(every), seq: s.seq, began: now, size: p.size() + entryCost}, k, nil, Key{}, now)
	return true
}
