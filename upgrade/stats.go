package upgrade

import (
	"sync/atomic"

	"holdfast/internal/channel"
)

// closeReason is why a held connection ended: constant, log word and metric label at once.
type closeReason uint8

const (
	clientGone           closeReason = iota // the client closed or the network did
	clientClosed                            // a WebSocket's close handshake
	answered                                // a long poll has its answer
	slow                                    // more waits than its send queue may hold
	pongTimeout                             // no sign of life since the last heartbeat
	badFrame                                // the client broke the protocol
	unexpectedData                          // bytes where the client has nothing to say
	draining                                // Holdfast goes down
	gapUnsupported                          // a raw WebSocket cannot be told of a gap
	tooManyErrors                           // too many messages that were refused
	refused                                 // not allowed any more, by the app or as a token expired
	authorizeUnavailable                    // the app could not be asked whether it still does
	loggedOut                               // the app took its session cookie back
	disconnected                            // the app said so
	crowdedOut                              // its user has newer ones, and no more may be held
	inboundFull                             // what clients have sent takes all the memory there is for it
	slowSender                              // a message that has begun does not come
	messageFailed                           // the app did not take a message whose client cannot be told otherwise
	internalFailure                         // a panic, of which the log has the stack
	closeReasons
)

func (r closeReason) String() string {
	return [closeReasons]string{"client_gone", "client_closed", "answered", "slow", "pong_timeout",
		"bad_frame", "unexpected_data", "draining", "gap", "too_many_errors", "refused", "authorize_failed", "logged_out", "disconnected", "user_limit",
		"inbound_full", "slow_sender", "message_failed", "internal_error"}[r]
}

type counters struct {
	dropped        [closeReasons]atomic.Int64
	clientMessages atomic.Int64
	clientFaults   atomic.Int64 // messages that were refused
	posted         atomic.Int64 // messages that the app was told of
	postErrors     atomic.Int64 // and did not answer
	sendQueue      atomic.Int64 // bytes waiting for slow readers
	throttled      atomic.Int64 // how often a client was not read for a while
	droppedOldest  atomic.Int64 // messages, by channel.DropOldest
	superseded     atomic.Int64 // messages, by channel.LatestOnly
}

func (c *counters) drop(r closeReason) { c.dropped[r].Add(1) }

// Stats are counts for metrics, by label.
type Stats struct {
	Held, Dropped                              map[string]int64
	Rejected                                   map[string]int64 // subscribe requests, by reason
	Answered                                   int64            // long polls that have their response; not in Dropped
	Skipped                                    map[string]int64 // messages left out for slow readers, by policy
	AuthorizeErrors, ClientMessages, SendQueue int64
	ClientFaults                               int64
	Posted, PostErrors, PostsWaiting           int64

	// Of what is remembered of the app's answers: how often that was enough, was not, and had to make room.
	CacheHits, CacheMisses, CacheEvicted int64

	AuthorizeQueued, AuthorizeQueueFull int64 // requests that wait for the app to be asked; and that found no place
	Inbound, Throttled                  int64 // bytes that clients have begun to send; how often one was not read for a while

	TokensRefused int64 // missing, bad or in two places
}

// Stats may be called from any goroutine.
func (k *Keeper) Stats() Stats {
	s := Stats{
		Held: map[string]int64{}, Dropped: map[string]int64{}, Skipped: map[string]int64{},
		Answered:       k.stats.dropped[answered].Load(),
		ClientMessages: k.stats.clientMessages.Load(),
		SendQueue:      k.stats.sendQueue.Load(), ClientFaults: k.stats.clientFaults.Load(),
		Posted: k.stats.posted.Load(), PostErrors: k.stats.postErrors.Load(), PostsWaiting: int64(k.messages.Waiting()),
	}
	a := k.auth.Stats()
	s.AuthorizeErrors, s.AuthorizeQueued, s.AuthorizeQueueFull = a.Errors, a.Queued, a.QueueFull
	s.Inbound, s.Throttled = k.received.Total(), k.stats.throttled.Load()
	s.Rejected, s.TokensRefused = k.requests.Rejected(), k.requests.TokensRefused()
	s.CacheHits, s.CacheMisses, s.CacheEvicted = k.auth.Cache.Counts()
	for _, f := range k.forms {
		s.Held[f.transport()] += f.open.Load()
	}
	for r := range closeReasons {
		if r != answered {
			s.Dropped[r.String()] = k.stats.dropped[r].Load()
		}
	}
	s.Skipped[string(channel.DropOldest)] = k.stats.droppedOldest.Load()
	s.Skipped[string(channel.LatestOnly)] = k.stats.superseded.Load()
	return s
}
