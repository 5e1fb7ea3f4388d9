package warnings

import (
	"fmt"
	"slices"

	"holdfast/internal/answering"
	"holdfast/internal/config"
	"holdfast/internal/site"
)

// Sites returns what c is likely meant to do and does not, in a sentence each.
func Sites(c *config.Config) (list []string) {
	if len(c.Sites) > 0 && len(c.Channels) > 0 && !slices.ContainsFunc(c.Sites, func(s config.Site) bool { return s.Push }) {
		list = append(list, "push: no site has the push path, as each has an app of its own; set push: true in the site whose pages subscribe")
	}
	list = append(list, answering.Reopened(c)...)
	seen := map[string]bool{}
	for _, s := range c.Levels() {
		for _, u := range unprotected(&s) {
			if text := fmt.Sprintf("%s has %q, which only Apache reads; set %s", u.File, u.Line, u.Rule); !seen[text] {
				seen[text] = true
				list = append(list, text)
			}
		}
	}
	return list
}

// unprotected returns the folders of a site that Apache protects by an .htaccess.
func unprotected(s *config.Site) (list []site.Unprotected) {
	find := func(b *config.Block, at string, closed []string) {
		noScripts := b.NoScripts
		if b.Files() {
			noScripts = []string{"/"}
		}
		if b.Root != "" && b.Redirect == "" && (b.Files() || b.FastCGI()) {
			list = append(list, site.FindUnprotected(b.Root, at, noScripts, closed)...)
		}
	}
	var closed []string // by the routes so far: what is below them has no client, or is not of the folders behind
	for i := range s.Routes {
		r := &s.Routes[i]
		if !r.Internal && r.Own() {
			at := "/"
			if r.Cuts() {
				at = r.Match
			}
			find(&r.Block, at, closed)
		}
		if r.Match != "" && (r.Internal || r.Own()) {
			closed = append(closed, r.Match)
		}
	}
	find(&s.Block, "/", closed)
	return list
}
