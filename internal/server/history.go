package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/histfile"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
)

// newHub returns a hub that continues with the history in push.history_file, if it is set.
func (s *Server) newHub() (*hub.Hub, error) {
	c := s.conf()
	o := hub.Options{
		Lanes: len(s.poller.Loops()), HistoryTotal: int64(c.Push.HistoryTotal), Rule: s.history, Watch: s.watched(), Rules: ruleText(c),
		OnPublish: s.cache.onPublish(),
		Wildcards: s.channels().Any(func(r *channel.Rule) bool { return r.Wildcards }),
	}
	if c.Push.HistoryFile == "" {
		return hub.New(o), nil
	}
	var err error
	if s.file, err = histfile.Open(c.Push.HistoryFile); err != nil {
		return nil, fmt.Errorf("push.history_file: %w", err)
	}
	s.owned.onStop(func(time.Time) {
		if err := s.file.Close(); err != nil {
			s.log.Error("history file not closed", "error", err)
		}
	})
	h, err := hub.Open(o, s.file)
	if err != nil {
		return nil, fmt.Errorf("push.history_file: %w", err)
	}
	if s.file.Foreign() {
		s.log.Warn("history file was copied, restored or moved; clients that reconnect receive a gap", "file", c.Push.HistoryFile)
	}
	s.owned.onStop(func(time.Time) {
		if n := h.Stats().Unsaved; n > 0 {
			s.log.Error("unsaved history lost", "bytes", n)
		}
	})
	s.owned.run(func(ctx context.Context) { s.saveHistory(ctx, h) })
	stats := h.Stats()
	s.log.Info("history loaded", "file", c.Push.HistoryFile, "messages", stats.HistoryMessages, "bytes", stats.HistoryBytes)
	return h, nil
}

// saveHistory writes history to its file until ctx ends, which is after the last publish.
func (s *Server) saveHistory(ctx context.Context, h *hub.Hub) {
	h.Save(ctx, func(err error) {
		if err != nil {
			s.log.Error("history file not written; publishes that must be stored are refused until it is", "error", err)
			return
		}
		s.log.Info("history file is written again")
	})
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
