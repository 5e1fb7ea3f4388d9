package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channel"
	"holdfast/internal/hub"
	"holdfast/internal/watch"
)

// watching asks the app for channels that somebody holds.
type watching struct {
	*watch.Watcher
}

// changed returns what is told of channels whose state has changed, as the app says; nil: nobody.
func (x *watching) changed() func(channel string) {
	if x == nil {
		return nil
	}
	return x.Watcher.Changed
}

// newWatcher makes s.watcher, if the configuration has a watch. The hub may come later.
func (s *Server) newWatcher() error {
	c := s.conf()
	if len(c.Watch) == 0 {
		return nil
	}
	s.watcher = &watching{}
	var rules []watch.Rule
	for i := range c.Watch {
		r, err := s.watchRule(i)
		if err != nil {
			return fmt.Errorf("watch[%d]: %w", i, err)
		}
		rules = append(rules, r)
	}
	s.watcher.Watcher = watch.New(watch.Options{
		Rules: rules, InFlight: c.Push.WatchInFlight, MaxChannels: c.Push.WatchChannels, Log: s.log,
		Last: s.lastMessage, Renew: func(channel string, id hub.ID) bool { return s.hub.Renew(channel, id) },
		Publish: func(d hub.Draft) (r hub.Receipt, err error) {
			s.succession.Change(func() { r, err = s.hub.PublishOne(d) })
			return r, err
		},
	})
	return nil
}

// watchRule returns what the configuration says of a watch. The getter may be another one after a reload.
func (s *Server) watchRule(i int) (r watch.Rule, err error) {
	w := &s.conf().Watch[i]
	r = watch.Rule{Key: fmt.Sprintf("watch[%d]", i), Every: time.Duration(w.Every), URL: s.state.Load().getters[i].url, Cookies: w.As.Get("Cookie") != ""}
	r.Data, err = watch.ParseData(w.Data)
	r.Get = func(path string, v appcall.Validators) (appcall.Page, error) {
		return s.state.Load().getters[i].Get(path, v)
	}
	return r, err
}

// lastMessage is Hub.Last. Messages of presence are not about the channel's state, and where the rule has them, no message
// puts a request off.
func (s *Server) lastMessage(name string) (*hub.Message, hub.ID) {
	kept, id := s.hub.Last(name)
	if r, ok := s.channels().Rule(name); ok && r.Presence == channel.PresenceMessages {
		id = 0
	}
	return kept, id
}

// startWatcher asks the app until stop is called, which does not wait for it.
func (s *Server) startWatcher() (stop func()) {
	if s.watcher == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { s.watcher.Serve(ctx) })
	return func() {
		for _, g := range s.state.Load().getters {
			g.Close()
		}
		cancel()
		group.Wait()
	}
}

// occupancies passes on what the hub tells of channels to the watcher and to those who track presence.
type occupancies struct {
	hub     *hub.Hub
	watcher *watching
	events  func(channel string) bool // reports whether a channel is for the latter; nil: none is

	mu      sync.Mutex // guards what follows; held while something is taken from the hub and passed on, as that has an order
	pending []hub.Occupancy
}

// pass takes what there is.
func (o *occupancies) pass() {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.hub.TakeOccupancy()
	o.watcher.Occupied(list)
	for _, c := range list {
		if o.events != nil && o.events(c.Channel) {
			o.pending = append(o.pending, c)
		}
	}
}

// take returns what is for those who track presence.
func (o *occupancies) take() []hub.Occupancy {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.pending
	o.pending = nil
	return list
}
