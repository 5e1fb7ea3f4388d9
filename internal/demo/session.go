package demo

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

const (
	// Cookies do not know ports: a name of our own stays clear of other apps on this machine.
	cookieName = "holdfast_demo"

	// Each curl of the page starts a session. Past this the one that was idle the longest goes, and its
	// page starts another.
	maxSessions = 1000
)

// A pane is one half of the page.
type pane string

const (
	panePoll pane = "poll"
	panePush pane = "push"
)

// cost is what one pane of a session had of the app.
type cost struct {
	Pane     pane  `json:"pane"`
	Answered int   `json:"answered"` // requests of /status, those that were refused aside
	BusyMS   int64 `json:"busy_ms"`  // how long the app worked on them
}

type session struct {
	used  time.Time
	spent map[pane]cost
}

type sessions struct {
	max int

	mu   sync.Mutex
	byID map[string]*session
}

func newSessions(max int) *sessions { return &sessions{max: max, byID: make(map[string]*session)} }

// id returns the session's id that r came with, or "" if it has none that is known.
func (s *sessions) id(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.byID[c.Value]
	if !ok {
		return ""
	}
	known.used = time.Now()
	return c.Value
}

// start begins a session and gives its cookie to the client.
func (s *sessions) start(w http.ResponseWriter) {
	id := rand.Text()
	s.mu.Lock()
	if len(s.byID) >= s.max {
		s.evictLocked()
	}
	s.byID[id] = &session{used: time.Now(), spent: make(map[pane]cost)}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (s *sessions) evictLocked() {
	oldest := ""
	for id, known := range s.byID {
		if oldest == "" || known.used.Before(s.byID[oldest].used) {
			oldest = id
		}
	}
	delete(s.byID, oldest)
}

// charge books one answer to a pane, and returns what the pane has had with it. It is false if the
// session is gone.
func (s *sessions) charge(id string, p pane, busy time.Duration) (cost, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.byID[id]
	if !ok {
		return cost{}, false
	}
	c := known.spent[p]
	c.Pane = p
	c.Answered++
	c.BusyMS += busy.Milliseconds()
	known.spent[p] = c
	return c, true
}
