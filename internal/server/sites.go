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
	warn := func(root string, noScripts []string) {
		if root == "" {
			return
		}
		for _, u := range site.FindUnprotected(root, noScripts) {
			list = append(list, fmt.Sprintf("%s has %q, which only Apache reads; set %s", u.File, u.Line, u.Rule))
		}
	}
	warn(c.Site.Root, c.Site.NoScripts)
	for i := range c.Routes {
		if r := &c.Routes[i]; r.Site.Root != c.Site.Root {
			warn(r.Site.Root, r.Site.NoScripts)
		}
	}
	return list
}
