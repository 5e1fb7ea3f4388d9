package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"holdfast/internal/hub"
	"holdfast/internal/keep"
)

// newHub returns a hub that goes on with the history of push.history_file, if there is one.
func (s *server) newHub() (*hub.Hub, error) {
	c := s.config
	o := hub.Options{
		Lanes: len(s.poller.Loops()), HistoryTotal: int64(c.Push.HistoryTotal), Rule: s.history, Watch: s.watch(), Rules: s.rules(),
		Wildcards: c.HasWildcards(),
	}
	if c.Push.HistoryFile == "" {
		return hub.New(o), nil
	}
	var err error
	if s.file, err = keep.Open(c.Push.HistoryFile); err != nil {
		return nil, fmt.Errorf("push.history_file: %w", err)
	}
	h, err := hub.Open(o, s.file)
	if err != nil {
		s.closeHistory()
		return nil, fmt.Errorf("push.history_file: %w", err)
	}
	stats := h.Stats()
	s.log.Info("history goes on", "file", c.Push.HistoryFile, "messages", stats.HistoryMessages, "bytes", stats.HistoryBytes)
	return h, nil
}

func (s *server) closeHistory() {
	if s.file == nil {
		return
	}
	if err := s.file.Close(); err != nil {
		s.log.Error("history file not closed", "error", err)
	}
}

// serveHistory writes history to its file until the function it returns is called, when nobody publishes any more.
func (s *server) serveHistory() (stop func()) {
	if s.file == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		s.hub.Save(ctx, func(err error) {
			if err != nil {
				s.log.Error("history file not written; publishes that have to be kept are refused until it is", "error", err)
				return
			}
			s.log.Info("history file is written again")
		})
	})
	return func() {
		cancel()
		group.Wait()
		if n := s.hub.Stats().Unsaved; n > 0 {
			s.log.Error("history that is not in its file is lost", "bytes", n)
		}
		s.closeHistory()
	}
}

func (s *server) history(channel string) (hub.History, bool) {
	r, ok := s.config.Rule(channel)
	if !ok {
		return hub.History{}, false
	}
	return hub.History{Messages: r.History.Messages, Age: time.Duration(r.History.Age), Bytes: int64(r.History.Bytes)}, true
}

// rules says of which channels history keeps something.
func (s *server) rules() string {
	var b strings.Builder
	for _, r := range s.config.Channels {
		fmt.Fprintf(&b, "%s %t\n", r.Match, r.History.Messages > 0)
	}
	return b.String()
}
