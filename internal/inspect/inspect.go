// Package inspect has what the command doctor learns from inside: requests that name a secret of a session are admitted
// without a rule, to a channel of their own, and how they arrived is recorded.
package inspect

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Lifetime is how long a session lasts that nobody ends.
	Lifetime = 30 * time.Minute

	// Silence is how long a connection gets no heartbeat that asks for silence.
	Silence = Lifetime

	maxSessions = 8
	maxSeen     = 128 // requests of a session; more are admitted, but not recorded

	// prefix begins the names of the sessions' channels. No name of a channel may have the exclamation mark, so no rule,
	// publish or subscription of anybody else matches them.
	prefix = "doctor!"
)

// ErrBusy is returned by Begin if there are too many sessions.
var ErrBusy = errors.New("too many sessions of holdfast doctor: wait until they end, or for half an hour")

// Owns reports whether a channel is that of a session.
func Owns(channel string) bool { return strings.HasPrefix(channel, prefix) }

// shown are the fields that doctor looks at.
var shown = []string{
	"accept", "accept-encoding", "connection", "forwarded", "host", "origin", "upgrade", "user-agent", "via", "x-real-ip",
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server",
}

// Shown reports whether doctor learns the value of a field. Others may have secrets, such as those of the proxy in front.
func Shown(name string) bool {
	return slices.Contains(shown, strings.ToLower(name))
}

// Hidden returns what stands for a value that is a secret: its length, and a hash by which to compare it.
func Hidden(value string) string {
	return fmt.Sprintf("%d bytes, SHA-256 %x", len(value), sha256.Sum256([]byte(value)))
}

// Request is how a request of a session arrived.
type Request struct {
	Name      string      `json:"name"`           // that the request gives itself
	Peer      string      `json:"peer,omitempty"` // address and port; empty: a unix socket
	Client    string      `json:"client,omitempty"`
	Trusted   bool        `json:"trusted"` // the peer is one of trusted_proxies
	Scheme    string      `json:"scheme"`
	Host      string      `json:"host"` // that counts: Host, or what a trusted proxy forwards
	Port      int         `json:"port"`
	Protocol  string      `json:"protocol"` // HTTP/1.1, or HTTP/1.0
	Fields    [][2]string `json:"fields"`   // as they came; the values of those that are not Shown are Hidden
	OriginOK  bool        `json:"origin_ok"`
	Authorize *Answer     `json:"authorize,omitempty"` // nil: the request wanted none
}

// Answer is the app's response to an authorization request that a request of a session wanted.
type Answer struct {
	Channel string `json:"channel"`
	Allowed bool   `json:"allowed"`
	Status  int    `json:"status,omitempty"` // for the client, if it is not allowed
	User    string `json:"user,omitempty"`
	Error   string `json:"error,omitempty"` // neither allowed nor denied
	Hint    string `json:"hint,omitempty"`
	Millis  int64  `json:"milliseconds"`
}

// Sessions are the running sessions. The zero value has none. Any number of goroutines may use it.
type Sessions struct {
	mu   sync.Mutex // guards list
	list map[[sha256.Size]byte]*session
}

type session struct {
	channel string
	ends    time.Time
	seen    []Request
}

// Begin starts a session and returns its secret.
func (s *Sessions) Begin(now time.Time) (secret string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, x := range s.list {
		if now.After(x.ends) {
			delete(s.list, key)
		}
	}
	if len(s.list) >= maxSessions {
		return "", ErrBusy
	}
	if s.list == nil {
		s.list = make(map[[sha256.Size]byte]*session)
	}
	secret = rand.Text()
	s.list[sha256.Sum256([]byte(secret))] = &session{channel: prefix + rand.Text(), ends: now.Add(Lifetime)}
	return secret, nil
}

// of returns the session of a secret; nil if there is none, or it is over.
func (s *Sessions) of(secret string, now time.Time) *session {
	if x := s.list[sha256.Sum256([]byte(secret))]; x != nil && !now.After(x.ends) {
		return x
	}
	return nil
}

// Channel returns the channel of the session with a secret; empty if there is none.
func (s *Sessions) Channel(secret string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.of(secret, now); x != nil {
		return x.channel
	}
	return ""
}

// Record adds a request to the session with a secret, if there is one and it has room.
func (s *Sessions) Record(secret string, r Request, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.of(secret, now); x != nil && len(x.seen) < maxSeen {
		x.seen = append(x.seen, r)
	}
}

// Seen returns the requests of the session with a secret, in the order in which they were recorded. False means that
// there is none.
func (s *Sessions) Seen(secret string, now time.Time) ([]Request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.of(secret, now)
	if x == nil {
		return nil, false
	}
	return append([]Request{}, x.seen...), true
}

// End ends the session with a secret, and returns its channel; empty if there was none.
func (s *Sessions) End(secret string, now time.Time) (channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.of(secret, now); x != nil {
		channel = x.channel
	}
	delete(s.list, sha256.Sum256([]byte(secret)))
	return channel
}
