package upgrade

import (
	"sync/atomic"

	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/ending"
)

type counters struct {
	connection.Counters
	dropped [ending.Reasons]atomic.Int64
}

func (c *counters) drop(r ending.Reason) { c.dropped[r].Add(1) }

// Stats may be called from any goroutine.
func (k *Keeper) Stats() connection.Stats {
	s := k.stats.Stats()
	s.Answered, s.PostsWaiting = k.stats.dropped[ending.Answered].Load(), int64(k.messages.Waiting())
	a := k.auth.Stats()
	s.AuthorizeErrors, s.AuthorizeQueued, s.AuthorizeQueueFull = a.Errors, a.Queued, a.QueueFull
	s.Inbound = k.received.Total()
	s.Rejected, s.TokensRefused = k.requests().Rejected(), k.requests().TokensRefused()
	s.CacheHits, s.CacheMisses, s.CacheEvicted = k.auth.Cache.Counts()
	for _, f := range k.forms {
		s.Held[f.transport()] += f.open.Load()
	}
	for r := range ending.Reasons {
		if r != ending.Answered {
			s.Dropped[r.String()] = k.stats.dropped[r].Load()
		}
	}
	s.Skipped[string(channel.DropOldest)] = k.stats.DroppedOldest.Load()
	s.Skipped[string(channel.LatestOnly)] = k.stats.Superseded.Load()
	return s
}
