package upgrade

import (
	"sync/atomic"

	"holdfast/internal/channel"
)

// closeReason is why a held connection ended. Its String is the text in the log and the label of the metric.
type closeReason uint8

const (
	clientGone           closeReason = iota // the client or the network closed the connection
	clientClosed                            // a WebSocket's close handshake
	answered                                // a long poll has its response
	slow                                    // its send queue was full
	pongTimeout                             // no data from the client since the last heartbeat
	badFrame                                // protocol error of the client
	unexpectedData                          // data from a client that must not send any
	draining                                // Holdfast shuts down
	gapUnsupported                          // a raw WebSocket can't receive a gap
	tooManyErrors                           // too many rejected frames
	refused                                 // no longer allowed, by the app or by an expired token
	authorizeUnavailable                    // the app could not be reached to authorize it again
	loggedOut                               // the app cleared its session cookie
	disconnected                            // POST /disconnect of the app
	crowdedOut                              // its user opened a newer one and is at the limit
	inboundFull                             // the memory for what clients send is full
	slowSender                              // a message did not arrive in time
	messageFailed                           // the app failed on a message of a raw WebSocket
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
	clientFaults   atomic.Int64 // rejected frames
	posted         atomic.Int64 // messages sent to the app
	postErrors     atomic.Int64 // of these, those without a response
	sendQueue      atomic.Int64 // bytes in the send queues
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
