package hooks

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"maps"

	"holdfast/internal/channel"
	"holdfast/internal/page"
)

// Live is what may change while the API is served.
type Live struct {
	Token    string         // secret that callers must send; empty: none, which is allowed on loopback only
	Hosts    []string       // Host names allowed besides localhost and loopback addresses, without ports
	Page     page.Mode      // what the page for people may do; empty: Read
	Channels *channel.Rules // nil: there are no channels
}

// access is Live in the form in which requests are checked. It is not changed.
type access struct {
	secret   bool // there is a token
	tokenSum [sha256.Size]byte
	hosts    map[string]bool
	page     page.Mode
	rules    *channel.Rules
}

// Use has further requests follow other settings. The caller has checked that the listener may have no token, if it has
// none.
func (s *Server) Use(set Live) {
	a := &access{
		secret: set.Token != "", tokenSum: sha256.Sum256([]byte(set.Token)), hosts: map[string]bool{},
		page: cmp.Or(set.Page, page.Read), rules: set.Channels,
	}
	for _, host := range set.Hosts {
		a.hosts[canonicalHost(host)] = true
	}
	if old := s.access.Swap(a); old != nil && !a.admits(old) {
		s.page.Disconnect()
	}
}

// admits reports whether who had access to the page before has it now.
func (a *access) admits(old *access) bool {
	return a == old || old.secret == a.secret && old.tokenSum == a.tokenSum && old.page == a.page && maps.Equal(old.hosts, a.hosts)
}

// ErrNotReloaded is why the configuration is the one from before: that which was read is not valid, or can't be applied
// while Holdfast runs.
var ErrNotReloaded = errors.New("not reloaded")

// Reloaded is what a reload has changed.
type Reloaded struct {
	Changed []string `json:"changed"` // keys, or none
}

// reload responds to POST /reload, when the new configuration is in use.
func reload(s *Server, c *call) error { return act(s, c, s.options.Reload) }

// act responds with what do has done, to a request without parameters.
func act[T any](s *Server, c *call, do func() (T, error)) error {
	if _, err := parseQuery(c.query); err != nil {
		return err
	}
	done, err := do()
	if err == nil {
		s.answerJSON(c.ctx, done)
	}
	return err
}
