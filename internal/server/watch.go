package server

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channel"
	"holdfast/internal/channelurl"
	"holdfast/internal/hub"
	"holdfast/internal/watch"
)

// watching asks the app for channels that somebody holds.
type watching struct {
	*watch.Watcher
	getters []*appcall.Getter
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
		Publish: func(d hub.Draft) (hub.Receipt, error) { return s.hub.PublishOne(d) },
	})
	return nil
}

// watchRule returns what the configuration says of a watch.
func (s *Server) watchRule(i int) (r watch.Rule, err error) {
	c, w := s.conf(), &s.conf().Watch[i]
	who, path := s.appEndpoint(w.URL)
	r = watch.Rule{Key: fmt.Sprintf("watch[%d]", i), Every: time.Duration(w.Every)}
	pattern, err := channelurl.ParsePattern(w.Channel)
	if err != nil {
		return r, err
	}
	if r.URL, err = pattern.Parse(path); err != nil {
		return r, err
	}
	if r.Data, err = watch.ParseData(w.Data); err != nil {
		return r, err
	}
	header := map[string]string{}
	if c.External.Scheme == "https" { // or the app may redirect to it
		header["X-Forwarded-Proto"] = "https"
	}
	maps.Copy(header, w.As)
	r.Cookies = w.As.Get("Cookie") != ""
	g := appcall.NewGetter(appcall.GetterOptions{
		Target: s.target(who, path), Header: header, Timeout: time.Duration(c.Push.WatchTimeout),
		MaxConns: c.Push.WatchInFlight, MaxBody: int(c.Push.WatchMaxReply),
	})
	s.watcher.getters = append(s.watcher.getters, g)
	r.Get = g.Get
	return r, nil
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
		for _, g := range s.watcher.getters {
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
