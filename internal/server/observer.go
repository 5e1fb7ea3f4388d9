package server

import (
	"slices"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/connection"
	"holdfast/internal/inspect"
)

// observer passes the keeper's notifications on to the event webhooks and to presence.
type observer struct {
	s       *Server
	each    bool // connect or disconnect is sent
	users   bool // online or offline is sent
	members bool // a rule has presence
}

var _ connection.Observer = (*observer)(nil)

// newObserver returns nil if neither events nor presence need notifications.
func (s *Server) newObserver() connection.Observer {
	e := &s.conf().Events
	o := &observer{
		s: s, each: e.Enabled(config.Connect, config.Disconnect), users: e.Enabled(config.Online, config.Offline),
		members: s.channels().Any((*channel.Rule).Present),
	}
	if !o.each && !o.users && !o.members {
		return nil
	}
	return o
}

// Wants reports whether the connection causes any event.
func (o *observer) Wants(user string, channels []string) bool {
	if slices.ContainsFunc(channels, inspect.Owns) { // the app has nothing to do with them
		return false
	}
	return o.each || user != "" && (o.users || o.members && slices.ContainsFunc(channels, o.s.present))
}

// Begun sends connect, and updates presence.
func (o *observer) Begun(c connection.Info) {
	o.tell(appcall.Event{Type: appcall.EventConnect, Channels: c.Channels}, c)
	if o.s.presence != nil {
		o.s.presence.Begin(c.User, c.Channels)
	}
}

// Adopted updates presence: connect was sent by another process.
func (o *observer) Adopted(c connection.Info) {
	if o.s.presence != nil {
		o.s.presence.Begin(c.User, c.Channels)
	}
}

// Changed updates presence after a change of channels.
func (o *observer) Changed(c connection.Info, join, leave []string) {
	if o.s.presence != nil {
		o.s.presence.Change(c.User, join, leave)
	}
}

// Ended updates presence, and sends disconnect.
func (o *observer) Ended(c connection.Info, reason string) {
	o.tell(appcall.Event{Type: appcall.EventDisconnect, Reason: reason}, c)
	if o.s.presence != nil {
		o.s.presence.End(c.User, c.Channels)
	}
}

func (o *observer) tell(e appcall.Event, c connection.Info) {
	if o.s.conf().Events.Enabled(e.Type) {
		e.At, e.Connection, e.User, e.Transport = time.Now(), c.ID, c.User, c.Transport
		o.s.events.Enqueue(e)
	}
}
