package server

import (
	"fmt"
	"strings"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/succession"
)

// newHub returns a hub that continues with the history in push.history_file, if it is set.
func (s *Server) newHub() (*hub.Hub, error) {
	c := s.conf()
	o := hub.Options{
		Lanes: len(s.poller.Loops()), HistoryTotal: int64(c.Push.HistoryTotal), Rule: s.history, Watch: s.watched(), Rules: ruleText(c),
		OnPublish: s.cache.onPublish(),
		Wildcards: s.channels().Any(func(r *channel.Rule) bool { return r.Wildcards }),
	}
	if s.succession.History = succession.NewHistory(c.Push.HistoryFile, s.log); s.succession.History == nil {
		return hub.New(o), nil
	}
	var h *hub.Hub
	if s.succession.First() {
		var err error
		if h, err = s.succession.History.Open(o); err != nil {
			return nil, err
		}
		s.succession.History.Begin(h)
	} else {
		h = hub.New(o) // another process has the file until it gives it up
	}
	s.owned.onStop(func(time.Time) {
		if err := s.succession.History.End(h); err != nil {
			s.log.Error("unsaved history lost", "error", err)
		}
	})
	return h, nil
}

func (s *Server) history(channel string) (hub.History, bool) {
	if inspect.Owns(channel) {
		return hub.History{}, true
	}
	r, ok := s.channels().Rule(channel)
	if !ok {
		return hub.History{}, false
	}
	return hub.History(r.History), true
}

// ruleText returns a text that changes when other channels have history.
func ruleText(c *config.Config) string {
	var b strings.Builder
	for _, r := range c.Channels {
		fmt.Fprintf(&b, "%s %t\n", r.Match, r.History.Messages > 0)
	}
	return b.String()
}
