package server

import (
	"holdfast/hooks"
	"holdfast/upgrade"
)

// connections tells the hooks of what the keeper has.
type connections struct{ k *upgrade.Keeper }

var _ hooks.Connections = connections{}

// List describes held connections.
func (c connections) List(s hooks.Selection, limit int) (list []hooks.Connection, total int) {
	held, total := c.k.Connections(upgrade.Selection(s), limit)
	for _, h := range held {
		one := hooks.Connection{ID: h.ID, User: h.User, Kind: h.Kind, Channels: h.Channels}
		if h.Peer.IsValid() {
			one.Peer = h.Peer.String()
		}
		list = append(list, one)
	}
	return list, total
}

// Change takes held connections into channels and out of others.
func (c connections) Change(s hooks.Selection, join, leave []string) (n int, refused map[string]int) {
	return c.k.Change(upgrade.Selection(s), join, leave)
}

// Disconnect closes held connections.
func (c connections) Disconnect(s hooks.Selection, code int, reason string) int {
	return c.k.Disconnect(upgrade.Selection(s), code, reason)
}
