package server

import (
	"holdfast/hooks"
	"holdfast/internal/metric"
	"holdfast/internal/pushfields"
)

// newPushed makes s.pushed, which publishes as the API does, if push.headers is set.
func newPushed(s *Server) {
	c := s.conf()
	if c.Push.Headers {
		s.pushed = pushfields.New(pushfields.Options{
			Publisher:  s.succession.Publishing(newPublisher(s)),
			MaxMessage: int(c.Push.MaxMessage), MaxTotal: int64(c.Push.ReceiveTotal), Log: s.log,
		})
	}
}

// newPublisher returns what publishes what a response of the app says.
func newPublisher(s *Server) *hooks.Publisher {
	return &hooks.Publisher{Hub: s.hub, Channels: s.channels, Cache: s.cache.changes(), OnChanged: s.watcher.changed()}
}

// writePushed writes the counts of messages in responses of the app, if there can be any.
func writePushed(w *metric.Writer, r *pushfields.Reader) {
	if r == nil {
		return
	}
	x := r.Stats()
	w.Int("holdfast_push_headers_published_total", x.Published)
	w.Ints("holdfast_push_headers_failed_total", "reason", x.Failed)
	w.Int("holdfast_push_headers_unseen_total", x.Unseen)
	w.Int("holdfast_push_headers_bytes", x.Buffered)
}
