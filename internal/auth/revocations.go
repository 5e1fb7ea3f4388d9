package auth

import (
	"slices"
	"sync"
	"time"

	"holdfast/internal/channel"
)

const (
	revocationsKept = 2 * time.Minute // longer than any authorization takes
	maxRevocations  = 4096            // of about 100 bytes each
)

// Revocation is what a logout or an API request has taken away. A zero member stands for any; one of them is set.
type Revocation struct {
	Credential uint64 // of a session; see Credentials
	User       string
	Channel    string // a name or a pattern
	Connection string // the ID of one that is held
}

// Subject is who was just allowed to subscribe to what, as a Revocation may concern it.
type Subject struct {
	Credentials []uint64 // 0 is none
	User        string   // empty: nobody, whom no revocation of a user concerns
	Channels    []string
	Connection  string // empty: it is not held yet
}

// concerns reports whether all that the revocation names is the subject's.
func (v *Revocation) concerns(s *Subject) bool {
	return (v.Credential == 0 || slices.Contains(s.Credentials, v.Credential)) &&
		(v.User == "" || v.User == s.User) &&
		(v.Connection == "" || v.Connection == s.Connection) &&
		(v.Channel == "" || v.touches(s.Channels))
}

// touches reports whether one of the names is what is revoked, a part of it, or a pattern that it is a part of.
func (v *Revocation) touches(names []string) bool {
	return Contains(names, v.Channel) ||
		channel.IsPattern(v.Channel) && slices.ContainsFunc(names, func(name string) bool { return channel.Covers(v.Channel, name) })
}

// Revocations keeps what was revoked lately, so that an answer of the app that was on its way then lets nobody in. Any
// goroutine may call it; the zero value has none.
type Revocations struct {
	mu    sync.Mutex // guards what follows
	first uint64     // which one list begins with
	list  []timedRevocation
}

type timedRevocation struct {
	Revocation
	at time.Time
}

// Add adds one, unless it is zero. Cached answers are to be evicted before: who finds one later finds this one, too.
func (l *Revocations) Add(v Revocation) {
	if v == (Revocation{}) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	drop := max(len(l.list)+1-maxRevocations, 0)
	for drop < len(l.list) && now.Sub(l.list[drop].at) > revocationsKept {
		drop++
	}
	l.list, l.first = slices.Delete(l.list, 0, drop), l.first+uint64(drop)
	l.list = append(l.list, timedRevocation{v, now})
}

// Seq returns the number of the next one, for ChangedSince.
func (l *Revocations) Seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first + uint64(len(l.list))
}

// ChangedSince reports whether one that was added since Seq returned seq concerns the subject, or may have: those that are
// long past are not known any more.
func (l *Revocations) ChangedSince(seq uint64, s *Subject) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq < l.first {
		return true
	}
	for i := range l.list[seq-l.first:] {
		if l.list[seq-l.first:][i].concerns(s) {
			return true
		}
	}
	return false
}
