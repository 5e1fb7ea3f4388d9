package config

import (
	"fmt"
	"strings"

	"holdfast/internal/hosts"
)

// Site is what the requests to some hosts get.
type Site struct {
	Hosts   []string `yaml:"hosts" eg:"[www.example.com, \"*.example.com\"]"` // as hosts.Parse returns them
	Default bool     `yaml:"default"`
	Push    bool     `yaml:"push"`
	Block   `yaml:",inline"`
	Routes  []Route `yaml:"routes" eg:"[{match: /shop, upstream: http://127.0.0.1:8082}]"`

	key string // sites[0]
}

// Key is the site's place in the file, such as sites[0].
func (s *Site) Key() string { return s.key }

// Name names the site in messages, by its first host.
func (s *Site) Name() string {
	if len(s.Hosts) > 0 {
		return s.Hosts[0]
	}
	return s.key
}

// Levels returns the sites, or without any, one for all hosts that has no name.
func (c *Config) Levels() []Site {
	if len(c.Sites) > 0 {
		return c.Sites
	}
	return []Site{{Default: true, Push: true, Block: c.Block, Routes: c.Routes}}
}

// maxHosts keeps the table of hosts small.
const maxHosts = 10_000

// sites checks the list against itself.
func (d *decoder) sites(c *Config) {
	seen := map[string]string{} // host → key
	fallback := ""
	for i := range c.Sites {
		s := &c.Sites[i]
		if d.failed[s.key] {
			continue
		}
		if len(s.Hosts) == 0 && !s.Default && !d.failed[s.key+".hosts"] {
			d.add(s.key+".hosts", "missing; want the names of the site such as [www.example.com], or default: true")
		}
		for j, h := range s.Hosts {
			key := fmt.Sprintf("%s.hosts[%d]", s.key, j)
			if d.failed[key] {
				continue
			}
			name, err := hosts.Parse(h)
			switch {
			case err != nil:
				d.add(key, show(h)+" "+err.Error()+"; want a name such as www.example.com or *.example.com")
			case seen[name] != "":
				d.add(key, fmt.Sprintf("%s is a host of %s too, at line %d", show(h), seen[name], d.position(seen[name]).line))
			default:
				s.Hosts[j], seen[name] = name, key
			}
		}
		if s.Default {
			if fallback != "" {
				d.add(s.key+".default", fmt.Sprintf("%s has it too; want it in one site", fallback))
			}
			fallback = s.key
		}
	}
	if len(seen) > maxHosts {
		d.add("sites", fmt.Sprintf("%d hosts; want at most %d", len(seen), maxHosts))
	}
	d.sitePush(c)
}

// sitePush checks what Holdfast itself requests: with sites, these requests are for one of them.
func (d *decoder) sitePush(c *Config) {
	if len(c.Sites) == 0 {
		return
	}
	watched := ""
	if len(c.Watch) > 0 {
		watched = c.Watch[0].URL
	}
	for _, key := range []struct{ name, path string }{
		{"push.authorize_path", c.Push.Authorize}, {"push.message_path", c.Push.Message}, {"events.url", c.Events.URL}, {"watch", watched},
	} {
		switch {
		case !strings.HasPrefix(key.path, "/") || d.failed[key.name]:
		case c.PushHost() == "":
			d.add(key.name, "is requested from the app of a site with the push path, and no site that has it has a host without *; set push: true in one")
		case c.ProxyProtocol && c.PushSites() > 1:
			d.add(key.name, "cannot be a path of several sites while proxy_protocol is on")
		}
	}
}

// PushHost returns the Host of requests that Holdfast makes to the app on behalf of no client: the first of a site with the push
// path. It is empty if there is none.
func (c *Config) PushHost() string {
	for i := range c.Sites {
		if !c.Sites[i].Push {
			continue
		}
		for _, h := range c.Sites[i].Hosts {
			if h[0] != '*' {
				return bracketed(h)
			}
		}
	}
	return ""
}

// PushSite returns the site whose app Holdfast makes requests to. Where several have the push path, it is the one whose Host they
// have if they are made for no client.
func (c *Config) PushSite() *Site {
	levels := c.Levels()
	for i := range levels {
		if levels[i].Push {
			return &levels[i]
		}
	}
	return &levels[0]
}

// PushSites returns how many sites have the push path.
func (c *Config) PushSites() (n int) {
	for _, s := range c.Levels() {
		if s.Push {
			n++
		}
	}
	return n
}

// bracketed returns a name as Host has it.
func bracketed(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}
