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

// Revocation is the effect of a logout or an API request on authorizations. A zero member stands for any; at least one
// is set.
type Revocation struct {
	Credential uint64 // of a session; see Credentials
	User       string
	Channel    string // a name or a pattern
	Connection string // the ID of one that is held
}

// Subject is a client with an authorization that a Revocation may concern.
type Subject struct {
	Credentials []uint64 // 0 is none
	User        string   // empty: none, so no revocation of a user concerns it
	Channels    []string
	Connection  string // empty: it is not held yet
}

// concerns reports whether everything that the revocation names is the subject's.
func (v *Revocation) concerns(s *Subject) bool {
	return (v.Credential == 0 || slices.Contains(s.Credentials, v.Credential)) &&
		(v.User == "" || v.User == s.User) &&
		(v.Connection == "" || v.Connection == s.Connection) &&
		(v.Channel == "" || v.touches(s.Channels))
}

// touches reports whether one of the names is the revoked channel, a part of it, or a pattern that it is a part of.
func (v *Revocation) touches(names []string) bool {
	return Contains(names, v.Channel) ||
		channel.IsPattern(v.Channel) && slices.ContainsFunc(names, func(name string) bool { return channel.Covers(v.Channel, name) })
}

// Revocations stores recent revocations, so that a response of the app from before a revocation has no effect after it.
// Any goroutine may call it; the zero value has none.
type Revocations struct {
	mu    sync.Mutex // guards what follows
	first uint64     // which one list begins with
	list  []timedRevocation
}

type timedRevocation struct {
	Revocation
	at time.Time
}

// Add adds a revocation, unless it is zero. Evict cached responses before, so that a client that found one in the cache
// sees the revocation.
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

// Seq returns the number of the next revocation, for ChangedSince.
func (l *Revocations) Seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first + uint64(len(l.list))
}

// ChangedSince reports whether a revocation since Seq returned seq concerns the subject, or may concern it, as old ones
// are dropped.
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
