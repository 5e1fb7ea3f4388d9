package succession

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Arrive takes everything over from the process that has started this one. After an error, this process must end, and the
// old one goes on. Without one, all is this process's, which then has to serve. The first process has nothing to take.
// If ctx ends before everything has moved, that is an error.
func (s *Succession) Arrive(ctx context.Context) error {
	if s.First() {
		return nil
	}
	s.o.Poller.KeepSocketFiles(true) // they are the old one's, if this fails
	layers, kinds := s.o.Kinds()
	remove := socketFiles(s.taker.Untaken())
	s.taker.Reply = s.encodeAPI()
	if err := s.taker.Take(ctx, s.o.Poller, s.parts(), layers, kinds); err != nil {
		return err
	}
	s.o.Poller.KeepSocketFiles(false)
	s.o.API.unlinkOnClose(true)
	remove()
	s.importer.Adopted()
	if s.o.Presence != nil {
		s.o.Presence.Adopted()
	}
	s.History.Begin(s.o.Hub)
	s.stats.arrived(s.taker.Conns())
	s.log.Info("this process has taken over", "from", s.taker.Old, "connections", s.taker.Conns(), "pause", s.stats.lastPause().Round(100*time.Microsecond))
	return nil
}

// socketFiles returns what removes the files of those listeners that are unix sockets, if they are the same then as now.
func socketFiles(listeners []string) (remove func()) {
	now := map[string]fs.FileInfo{}
	for _, name := range listeners {
		if path, ok := strings.CutPrefix(name, "unix "); ok {
			if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
				now[path] = info
			}
		}
	}
	return func() {
		for path, was := range now {
			if info, err := os.Lstat(path); err == nil && os.SameFile(was, info) {
				_ = os.Remove(path) // the next process that listens there replaces it
			}
		}
	}
}

// Late takes what the old process still has to give, until that has ended or ctx ends. The loops must run.
func (s *Succession) Late(ctx context.Context) {
	if s.First() {
		return
	}
	defer context.AfterFunc(ctx, s.taker.Close)()
	s.taker.Note = s.note
	s.taker.Lost = func(err error) {
		s.stats.lose(lostConnection)
		s.log.Error("a connection of the old process can't be taken; it is closed", "error", err)
	}
	if err := s.taker.Late(); err != nil {
		s.stats.lose(lostLink)
		s.log.Error("what the old process still has can't be taken; its connections end there, and what it has to say is lost", "error", err)
	}
}
