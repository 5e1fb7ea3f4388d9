package presence

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/hub"
)

// The types of what is told.
const (
	Occupied = "occupied" // a channel has a subscriber
	Vacated  = "vacated"  // it has had none for the grace period
	Online   = "online"   // a user has a connection
	Offline  = "offline"  // the user has had none for the grace period
	Join     = "join"     // a user has a connection in a channel
	Leave    = "leave"    // the user has had none in it for the grace period
)

// Event is what is told: of a channel, a user, or both.
type Event struct {
	Type          string
	At            time.Time // when they came or went
	Channel, User string
}

// Options are the properties of a Roll. Neither Tell nor Publish may block or call the Roll; both are called in
// the order of what they tell, from any goroutine.
type Options struct {
	Grace time.Duration // zero: who goes is told of at once

	Occupancy func() []hub.Occupancy         // what has changed; see Roll.Occupancy
	Users     bool                           // whether online and offline are told
	Present   func(channel string) bool      // whether it is kept who is in the channel; nil: of none
	Tell      func(Event)                    // of channels and of users; nil: of none
	Publish   func(e Event) (published bool) // of users in channels; false: not now. Nil: of none

	Log *slog.Logger // nil: no log
}

const (
	maxLeaving = 1 << 17 // in their grace period; past this the oldest is told of early
	maxUnsaid  = 10_000  // joins and leaves that could not be published; past this the oldest is lost

	slice  = 256                   // told of before others have the lock
	coarse = 50 * time.Millisecond // between two looks at who is due
	retry  = time.Second           // between two tries to publish what could not be
)

// subject is a channel, a user, or a user in a channel.
type subject struct{ channel, user string }

// stay is a user who is told to be there, or a user in a channel.
type stay struct {
	connections int
	leaving     *list.Element // in Roll.leaving, when there is no connection
}

// leaver is a subject in its grace period.
type leaver struct {
	subject
	kind string    // what it is to be told as
	at   time.Time // when it went
}

// Roll is who is there.
type Roll struct {
	o     Options
	log   *slog.Logger
	wakec chan struct{} // holds one: look again

	// mu guards what follows. Tell and Publish are called with it held, as what they tell of one subject must
	// come in its order; the locks of hub and teller are behind it.
	mu       sync.Mutex
	leaving  list.List                // of *leaver, by at
	channels map[string]*list.Element // in leaving, of Vacated
	users    map[string]*stay
	rosters  map[string]map[string]*stay // channel → user
	unsaid   []Event                     // to publish, before all others
	ended    bool                        // by Close: nothing has a grace period or is published
	stats    Stats
}

// Stats are a roll's numbers; the last two only grow.
type Stats struct {
	Users   int // told to be online
	Members int // users in channels
	Leaving int // in their grace period

	Hurried uint64 // told of before their grace period was over, as too many were in theirs
	Unsaid  uint64 // joins and leaves that were not published
}

// New returns a roll. It starts nothing.
func New(o Options) *Roll {
	if o.Present == nil {
		o.Present = func(string) bool { return false }
	}
	if o.Tell == nil {
		o.Tell = func(Event) {}
	}
	if o.Publish == nil {
		o.Publish = func(Event) bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Roll{
		o: o, log: o.Log, wakec: make(chan struct{}, 1),
		channels: make(map[string]*list.Element),
		users:    make(map[string]*stay),
		rosters:  make(map[string]map[string]*stay),
	}
}

// Occupancy is to be called when Options.Occupancy has something.
func (r *Roll) Occupancy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, o := range r.o.Occupancy() {
		leaving := r.channels[o.Channel]
		switch {
		case o.Was: // was told to be, and is not in its grace period
		case leaving != nil:
			r.stayLocked(leaving)
			delete(r.channels, o.Channel)
		default:
			r.o.Tell(Event{Type: Occupied, At: now, Channel: o.Channel})
		}
		if !o.Is {
			r.channels[o.Channel] = r.goLocked(&leaver{subject{channel: o.Channel}, Vacated, now})
		}
	}
	r.hurryLocked()
}

// Begin takes note of a connection of a user and of its channels. One without a user is nobody.
func (r *Roll) Begin(user string, channels []string) {
	if user == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.o.Users {
		r.comeLocked(r.users, subject{user: user}, Online, now)
	}
	r.joinLocked(user, channels, now)
}

// Change takes note that a connection of a user has joined some channels and left others.
func (r *Roll) Change(user string, join, leave []string) {
	if user == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.joinLocked(user, join, now)
	r.leaveLocked(user, leave, now)
	r.hurryLocked()
}

// End takes note that a connection of a user, and its channels, are gone.
func (r *Roll) End(user string, channels []string) {
	if user == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.leaveLocked(user, channels, now)
	if r.o.Users {
		r.partLocked(r.users, subject{user: user}, Offline, now)
	}
	r.hurryLocked()
}

func (r *Roll) joinLocked(user string, channels []string, now time.Time) {
	for _, channel := range channels {
		if !r.o.Present(channel) {
			continue
		}
		roster := r.rosters[channel]
		if roster == nil {
			roster = make(map[string]*stay)
			r.rosters[channel] = roster
		}
		r.comeLocked(roster, subject{channel, user}, Join, now)
	}
}

func (r *Roll) leaveLocked(user string, channels []string, now time.Time) {
	for _, channel := range channels {
		if roster := r.rosters[channel]; roster != nil {
			r.partLocked(roster, subject{channel, user}, Leave, now)
		}
	}
}

// comeLocked counts a connection, of which the first is told.
func (r *Roll) comeLocked(of map[string]*stay, s subject, kind string, now time.Time) {
	p := of[s.user]
	if p == nil {
		p = new(stay)
		of[s.user] = p
		r.countLocked(kind, 1)
		r.tellLocked(kind, s, now)
	}
	p.connections++
	if p.leaving != nil {
		r.stayLocked(p.leaving)
		p.leaving = nil
	}
}

// partLocked counts a connection off; after the last one the grace period begins.
func (r *Roll) partLocked(of map[string]*stay, s subject, kind string, now time.Time) {
	p := of[s.user]
	if p == nil || p.connections == 0 {
		return
	}
	if p.connections--; p.connections == 0 {
		p.leaving = r.goLocked(&leaver{s, kind, now})
	}
}

func (r *Roll) countLocked(kind string, by int) {
	switch kind {
	case Online, Offline:
		r.stats.Users += by
	case Join, Leave:
		r.stats.Members += by
	}
}

// goLocked lets a grace period begin.
func (r *Roll) goLocked(l *leaver) *list.Element {
	e := r.leaving.PushBack(l)
	if r.leaving.Len() == 1 {
		r.wake()
	}
	return e
}

// stayLocked ends a grace period without a word.
func (r *Roll) stayLocked(e *list.Element) { r.leaving.Remove(e) }

// hurryLocked tells of those whose grace period is cut short.
func (r *Roll) hurryLocked() {
	for r.leaving.Len() > maxLeaving {
		if r.stats.Hurried++; r.stats.Hurried&(r.stats.Hurried-1) == 0 {
			r.log.Warn("a grace period was cut short: too many channels and users are in theirs (events.grace)", "limit", maxLeaving, "so_far", r.stats.Hurried)
		}
		r.goneLocked(r.leaving.Front())
	}
	if r.ended || r.o.Grace <= 0 {
		for r.leaving.Len() > 0 {
			r.goneLocked(r.leaving.Front())
		}
	}
}

// goneLocked tells of one whose grace period is over, and forgets it.
func (r *Roll) goneLocked(e *list.Element) {
	l := r.leaving.Remove(e).(*leaver)
	switch l.kind {
	case Vacated:
		delete(r.channels, l.channel)
	case Offline:
		delete(r.users, l.user)
	case Leave:
		roster := r.rosters[l.channel]
		if delete(roster, l.user); len(roster) == 0 {
			delete(r.rosters, l.channel)
		}
	}
	r.countLocked(l.kind, -1)
	r.tellLocked(l.kind, l.subject, l.at)
}

func (r *Roll) tellLocked(kind string, s subject, at time.Time) {
	e := Event{kind, at, s.channel, s.user}
	if kind != Join && kind != Leave {
		r.o.Tell(e)
		return
	}
	if r.ended || len(r.unsaid) == 0 && r.o.Publish(e) {
		return
	}
	if r.unsaid = append(r.unsaid, e); len(r.unsaid) > maxUnsaid {
		r.unsaid = slices.Delete(r.unsaid, 0, 1)
		if r.stats.Unsaid++; r.stats.Unsaid&(r.stats.Unsaid-1) == 0 {
			r.log.Warn("a join or leave was not published: too much is waiting to be delivered", "so_far", r.stats.Unsaid)
		}
	}
	r.wake()
}

func (r *Roll) wake() {
	select {
	case r.wakec <- struct{}{}:
	default:
	}
}

// Serve tells of those whose grace period is over, until ctx ends.
func (r *Roll) Serve(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wakec:
		case <-timer.C:
		}
		timer.Reset(r.due())
	}
}

// due tells of those whose grace period is over and returns when to look again.
func (r *Roll) due() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := 0
	for ; len(r.unsaid) > 0 && done < slice && r.o.Publish(r.unsaid[0]); done++ {
		r.unsaid = r.unsaid[1:]
	}
	wait := time.Hour
	switch {
	case done == slice:
		return 0
	case len(r.unsaid) > 0:
		wait = retry
	}
	now := time.Now()
	for e := r.leaving.Front(); e != nil; e = r.leaving.Front() {
		if done++; done > slice {
			return 0
		}
		if left := e.Value.(*leaver).at.Add(r.o.Grace).Sub(now); left > 0 {
			return min(wait, max(left, coarse))
		}
		r.goneLocked(e)
	}
	return wait
}

// Close tells at once of everybody who is in the grace period, and from now on of everybody who goes. Nothing is
// published any more: nobody is left to read it.
func (r *Roll) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.hurryLocked()
}

// Stats may be called from any goroutine.
func (r *Roll) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Leaving = r.leaving.Len()
	return s
}

// Member is a user in a channel.
type Member struct {
	User        string
	Connections int // zero: in the grace period
}

// Count returns how many users are in a channel.
func (r *Roll) Count(channel string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rosters[channel])
}

// Members returns the first limit users of a channel by name, and how many there are.
func (r *Roll) Members(channel string, limit int) (list []Member, total int) {
	r.mu.Lock()
	roster := r.rosters[channel]
	list = make([]Member, 0, len(roster))
	for user, p := range roster {
		list = append(list, Member{user, p.connections})
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.User, b.User) })
	total = len(list)
	return list[:min(limit, total)], total
}
