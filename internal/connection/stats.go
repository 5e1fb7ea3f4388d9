package connection

import "sync/atomic"

// Stats are counts of held connections and of requests for them, for metrics, by label.
type Stats struct {
	Held, Dropped                              map[string]int64
	Rejected                                   map[string]int64 // subscribe requests, by reason
	Answered                                   int64            // long polls that have their response; not in Dropped
	Skipped                                    map[string]int64 // messages dropped for slow clients, by policy
	AuthorizeErrors, ClientMessages, SendQueue int64
	ClientFaults                               int64
	Posted, PostErrors, PostsWaiting           int64

	// Of the authorization cache.
	CacheHits, CacheMisses, CacheEvicted int64

	AuthorizeQueued, AuthorizeQueueFull int64 // authorization requests that wait; and that were refused
	Inbound, Throttled                  int64 // bytes stored of what clients send; how often one was not read for a while

	TokensRefused int64 // missing, invalid or more than one
}

// Counters are counts of held connections. Any goroutine may use them.
type Counters struct {
	ClientMessages atomic.Int64
	ClientFaults   atomic.Int64 // rejected frames
	Posted         atomic.Int64 // messages sent to the app
	PostErrors     atomic.Int64 // of these, those without a response
	SendQueue      atomic.Int64 // bytes in the send queues
	Throttled      atomic.Int64 // how often a client was not read for a while
	DroppedOldest  atomic.Int64 // messages dropped for slow clients
	Superseded     atomic.Int64 // the same, for newer ones of their channels
}

// Stats returns the counts that are here.
func (c *Counters) Stats() Stats {
	return Stats{
		Held: map[string]int64{}, Dropped: map[string]int64{}, Skipped: map[string]int64{},
		ClientMessages: c.ClientMessages.Load(), ClientFaults: c.ClientFaults.Load(), SendQueue: c.SendQueue.Load(),
		Posted: c.Posted.Load(), PostErrors: c.PostErrors.Load(), Throttled: c.Throttled.Load(),
	}
}
