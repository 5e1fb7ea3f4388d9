// Package answering makes what the levels of a configuration say of whose requests they take, and of what responses have besides what an
// app says.
package answering

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/errorpage"
	"holdfast/internal/fieldset"
	"holdfast/internal/rate"
	"holdfast/internal/request"
	"holdfast/internal/route"
)

// Maker sets the part of route.Settings. What several levels have alike is made once, so that a login is verified once for all of
// them.
type Maker struct {
	dry     bool // files of users are not read
	guesses *rate.Limiter
	rules   map[string]*access.Rules
	basics  map[string]*access.Basic // by file and realm
	log     *slog.Logger
}

// New returns a maker. Without a log, it reads no files.
func New(log *slog.Logger) *Maker {
	return &Maker{
		dry: log == nil, guesses: access.NewGuesses(), rules: map[string]*access.Rules{}, basics: map[string]*access.Basic{}, log: log,
	}
}

// Set sets the part of a level's settings.
func (x *Maker) Set(s *route.Settings, b *config.Block) (err error) {
	a := &b.Answers
	if s.Request, err = request.NewRules(a.RequestChanges()); err != nil {
		return fmt.Errorf("request_headers: %w", err)
	}
	if s.Fields, err = fieldset.New(a.Changes()); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if x.log != nil { // otherwise nothing is read
		if s.Pages, err = errorpage.New(a.ErrorPages(b.Root), a.Intercept, x.log); err != nil {
			return fmt.Errorf("error_pages: %w", err)
		}
	}
	if b.FastCGI() {
		s.Params = a.FastCGI()
	}
	s.Trace = a.Tracing()
	key := fmt.Sprintf("%q %q %d %q %q %s", a.Allow, a.Deny, a.Status, a.Users(), a.Realm, a.Satisfy)
	rules, ok := x.rules[key]
	if !ok {
		if rules, err = x.access(b); err != nil {
			return err
		}
		x.rules[key] = rules
	}
	s.Access = rules
	return nil
}

// access returns the rules of a level; nil: all requests are allowed.
func (x *Maker) access(b *config.Block) (rules *access.Rules, err error) {
	a := &b.Answers
	rules = &access.Rules{Status: a.Status, Any: a.Satisfy == "any"}
	if rules.Addresses, err = access.NewAddresses(a.Allow, a.Deny); err != nil {
		return nil, fmt.Errorf("allow: %w", err)
	}
	if file := a.Users(); file != "" && !x.dry {
		if rules.Basic, err = x.basic(file, a.Realm); err != nil {
			return nil, fmt.Errorf("basic_auth: %w", err)
		}
	}
	if rules.Addresses == nil && rules.Basic == nil {
		return nil, nil
	}
	return rules, nil
}

func (x *Maker) basic(file, realm string) (b *access.Basic, err error) {
	key := file + "\x00" + realm
	b, ok := x.basics[key]
	if !ok {
		if b, err = access.NewBasic(access.BasicOptions{File: file, Realm: realm, Guesses: x.guesses, Log: x.log}); err != nil {
			return nil, err
		}
		x.basics[key] = b
	}
	return b, nil
}

// ClosedToHoldfast returns which paths that Holdfast requests through its own listener are closed to it.
func ClosedToHoldfast(c *config.Config) (list []string) {
	site := c.PushSite()
	for _, call := range []struct {
		key, path string
		logsIn    bool // as the client
	}{{"push.authorize_path", c.Push.Authorize, true}, {"push.message_path", c.Push.Message, true}, {"events.url", c.Events.URL, false}} {
		if !strings.HasPrefix(call.path, "/") {
			continue
		}
		b := &site.Block
		if r := site.RouteOf(call.path); r != nil {
			b = &r.Block
		}
		if !b.FastCGI() && !b.Files() && b.Host == "" { // it is requested from the app
			continue
		}
		addresses, err := access.NewAddresses(b.Allow, b.Answers.Deny)
		if err == nil && !addresses.Allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
			list = append(list, call.key+": Holdfast requests it from 127.0.0.1, which allow or deny_addresses excludes there; add it to allow")
		}
		if b.Users() != "" && !call.logsIn {
			list = append(list, call.key+": basic_auth is on there, and Holdfast has no login; set basic_auth: off for this path")
		}
	}
	return list
}

// BadPages returns which error pages that c names are not there.
func BadPages(c *config.Config) (list []string) {
	seen := map[string]bool{}
	c.EachLevel(func(b *config.Block, _ ...string) {
		for _, o := range b.ErrorPages(b.Root) {
			if err := errorpage.Check(o.Files); err != nil && !seen[err.Error()] {
				seen[err.Error()] = true
				list = append(list, fmt.Sprintf("error_pages, %s: %v", o.Statuses, err))
			}
		}
	})
	return list
}

// BadUsers returns what is wrong with the files of users that c names.
func BadUsers(c *config.Config) (list []string) {
	seen := map[string]bool{"": true}
	c.EachLevel(func(b *config.Block, _ ...string) {
		if file := b.Users(); !seen[file] {
			seen[file] = true
			if err := access.CheckUsers(file); err != nil {
				list = append(list, fmt.Sprintf("basic_auth: %v", err))
			}
		}
	})
	return list
}
