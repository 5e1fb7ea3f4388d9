package server

import (
	"fmt"

	"holdfast/internal/config"
	"holdfast/internal/site"
)

// checkSites reports what is wrong in the folders of c, apart from what the file system has there.
func checkSites(c *config.Config) error {
	if _, err := newSite(c.Site); err != nil {
		return err
	}
	for i := range c.Routes {
		if _, err := newRoute(&c.Routes[i], c.UpstreamPool, c.Site); err != nil {
			return fmt.Errorf("routes, %s: %w", c.Routes[i].Match, err)
		}
	}
	return nil
}

// Warnings returns what c is likely meant to do and does not, in a sentence each.
func Warnings(c *config.Config) (list []string) {
	warn := func(root, at string, noScripts, closed []string) {
		if root == "" {
			return
		}
		for _, u := range site.FindUnprotected(root, at, noScripts, closed) {
			list = append(list, fmt.Sprintf("%s has %q, which only Apache reads; set %s", u.File, u.Line, u.Rule))
		}
	}
	var closed []string // by the routes so far: what is below them has no client, or is not of the folders behind
	for i := range c.Routes {
		r := &c.Routes[i]
		if !r.Internal {
			warn(r.Root, r.Match, []string{"/"}, closed)
			if r.Site.Root != c.Site.Root {
				warn(r.Site.Root, "/", r.Site.NoScripts, closed)
			}
		}
		if r.Internal || r.Redirect != "" || r.Root != "" || len(r.Servers(c.UpstreamPool)) > 0 && r.Site.Root != c.Site.Root {
			closed = append(closed, r.Match)
		}
	}
	warn(c.Site.Root, "/", c.Site.NoScripts, closed)
	return list
}
