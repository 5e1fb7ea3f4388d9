package server

import (
	"holdfast/internal/answering"
	"holdfast/internal/balance"
	"holdfast/internal/config"
	"holdfast/internal/route"
)

// Sites returns the sites of c and their routes. The error is what is wrong with them, apart from what the file system has.
func Sites(c *config.Config) (*route.Sites, error) {
	cache, err := newCache(c)
	if err != nil {
		return nil, err
	}
	app, list, err := newRouting(c, cache, nil, answering.New(nil)).sites()
	if err != nil {
		return nil, err
	}
	return route.NewSites(balance.NewSet(balance.Options{}), app, list)
}
