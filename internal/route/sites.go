package route

import (
	"fmt"

	"holdfast/internal/balance"
	"holdfast/internal/hosts"
	"holdfast/internal/http1"
)

// SiteOptions are a site: what the requests to some hosts get.
type SiteOptions struct {
	Name    string   // for messages
	Hosts   []string // as hosts.Parse returns them
	Default bool     // also those of hosts that no site has
	Push    bool     // the push path is one of the site's
	Main    Options  // for what no route is for; without upstreams, the app is that of all sites
	Routes  []Options
}

// Sites is all sites.
type Sites struct {
	Tables []*Table // one for each site, at least one
	hosts  hosts.Table
	rest   *Table // for hosts that no site has; nil: their requests are refused
	only   bool   // there is one site, for all hosts
}

// NewSites makes the sites and adds their servers to set. app is what answers where a site has no upstreams of its own.
func NewSites(set *balance.Set, app Options, list []SiteOptions) (*Sites, error) {
	s := new(Sites)
	above := &Route{Options: app}
	for i := range list {
		o := &list[i]
		if len(o.Main.Upstreams) == 0 && o.Main.Files == nil && o.Main.Redirect == "" && above.Servers == nil && len(app.Upstreams) > 0 {
			folder := app.Site
			if folder == nil {
				folder = o.Main.Site
			}
			above.Servers = set.Add(app.Upstreams, folder)
		}
		t, err := newTable(set, above, o.Main, o.Routes)
		if err != nil {
			return nil, err
		}
		t.Name, t.Push = o.Name, o.Push
		s.only = len(list) == 1 && len(o.Hosts) == 0
		for _, h := range o.Hosts {
			if !s.hosts.Add(h, i) {
				return nil, fmt.Errorf("route: host %s is of two sites", h)
			}
		}
		if o.Default {
			s.rest = t
		}
		s.Tables = append(s.Tables, t)
	}
	return s, nil
}

var (
	errNoSite   = &http1.Refusal{Status: 421, Reason: "Host that no site has; add it to the hosts of one, or set default: true"}
	errTwoSites = &http1.Refusal{Status: 421, Reason: "Host of one site and X-Forwarded-Host of another; see trusted_proxies"}
)

// Find returns the site of a request. host is its Host, and seen the one that its client used, which is another if a trusted
// proxy says so; both are valid, or empty. The client's decides. If the other one is of a site too, and of another, the request
// is refused: what the proxy permits for one site must not be had from another.
func (s *Sites) Find(host, seen []byte) (*Table, *http1.Refusal) {
	if s.only {
		return s.Tables[0], nil
	}
	t := s.rest
	i, named := s.hosts.Find(seen)
	if named {
		t = s.Tables[i]
	}
	if len(seen) != len(host) || len(host) > 0 && &seen[0] != &host[0] {
		if j, ok := s.hosts.Find(host); ok && s.Tables[j] != t {
			return nil, errTwoSites
		}
	}
	if t == nil {
		return nil, errNoSite
	}
	return t, nil
}

// Rest returns the site for hosts that no site has; nil: there is none.
func (s *Sites) Rest() *Table { return s.rest }
