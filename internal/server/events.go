package server

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"holdfast/internal/appcall"
	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/presence"
)

// minFlushTime is the time for the last events if the drain has used up its own.
const minFlushTime = time.Second

// occupancyEvents returns a function that selects the channels with occupancy events; nil if there are none.
func (s *Server) occupancyEvents() func(channel string) bool {
	if !s.channels().Any(func(r *channel.Rule) bool { return r.Events }) {
		return nil
	}
	return func(name string) bool {
		r, ok := s.channels().Rule(name)
		return ok && r.Events && !inspect.Owns(name)
	}
}

// watched returns a function that selects the channels whose occupancy the hub reports; nil if there are none.
func (s *Server) watched() func(channel string) bool {
	events := s.occupancyEvents()
	switch {
	case s.watcher == nil:
		return events
	case events == nil:
		events = func(string) bool { return false }
	}
	return func(name string) bool { return events(name) || s.watcher.Wants(name) && !inspect.Owns(name) }
}

// present reports whether the channel's rule has presence.
func (s *Server) present(name string) bool {
	r, ok := s.channels().Rule(name)
	return ok && r.Present()
}

// newEvents creates the event sender and the presence tracker, as far as the configuration needs them.
func (s *Server) newEvents() {
	c := s.conf()
	e := &c.Events
	if e.URL != "" {
		s.events = appcall.NewEventSender(appcall.EventSenderOptions{
			Post: func(ctx context.Context, body []byte) error {
				return s.state.Load().poster.Post(ctx, body)
			}, Batch: e.Batch, Delay: time.Duration(e.Delay),
			Queue: e.Queue, QueueBytes: int64(e.QueueSize), Log: s.log,
		})
		if s.succession.First() {
			s.events.Enqueue(appcall.Event{Type: appcall.EventStart, At: time.Now()})
		}
	}
	users := e.Enabled(config.Online, config.Offline)
	kept := s.channels().Any((*channel.Rule).Present)
	told := s.occupancyEvents()
	take, tell := s.hub.TakeOccupancy, func() {}
	if s.watcher != nil {
		all := &occupancies{hub: s.hub, watcher: s.watcher, events: told}
		take, tell = all.take, all.pass
		s.hub.OnOccupancy(tell)
	}
	if told == nil && !users && !kept {
		return
	}
	o := presence.Options{
		Grace: time.Duration(e.Grace), Occupancy: take, Users: users,
		Notify: s.notifyPresence, Publish: s.publishPresence, Log: s.log,
	}
	if kept {
		o.Present = s.present
	}
	s.presence = presence.New(o)
	s.hub.OnOccupancy(func() { tell(); s.presence.Occupancy() })
}

// notifyPresence sends an event of presence to the app, if events.types has it.
func (s *Server) notifyPresence(e presence.Event) {
	if s.conf().Events.Enabled(e.Type) {
		s.events.Enqueue(appcall.Event{Type: e.Type, At: e.At, Channel: e.Channel, User: e.User})
	}
}

// publishPresence publishes a join or leave to its channel, if the rule says so.
func (s *Server) publishPresence(e presence.Event) bool {
	if r, ok := s.channels().Rule(e.Channel); !ok || r.Presence != channel.PresenceMessages {
		return true
	}
	data, err := json.Marshal(map[string]string{"user": e.User})
	if err != nil {
		panic(err) // strings can't fail
	}
	return s.succession.TryChange(func() {
		_, err = s.hub.Publish([]hub.Draft{{Channels: []string{e.Channel}, Event: e.Type, Data: data, JSON: true}})
	}) && err == nil
}

// startEvents starts the event sender and the presence tracker. Stopping them sends the remaining events within the
// drain time.
func (s *Server) startEvents() {
	if s.events != nil {
		var group sync.WaitGroup
		group.Go(s.events.Serve)
		s.owned.onStop(func(by time.Time) {
			ctx, cancel := context.WithTimeout(context.Background(), max(time.Until(by), minFlushTime))
			defer cancel()
			s.events.Shutdown(ctx)
			s.state.Load().poster.Close()
			group.Wait()
		})
	}
	if s.presence != nil {
		s.owned.run(s.presence.Serve)
		s.owned.onStop(func(time.Time) { s.presence.Close() }) // no client returns
	}
}
