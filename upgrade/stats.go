package upgrade

import (
	"sync/atomic"

	"holdfast/internal/channel"
	"holdfast/internal/connection"
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
	ruleChanged                             // the rules of a reload do not allow one of its channels
	internalFailure                         // a panic, of which the log has the stack
	closeReasons
)

func (r closeReason) String() string {
	return [closeReasons]string{"client_gone", "client_closed", "answered", "slow", "pong_timeout",
		"bad_frame", "unexpected_data", "draining", "gap", "too_many_errors", "refused", "authorize_failed", "logged_out", "disconnected", "user_limit",
		"inbound_full", "slow_sender", "message_failed", "rule_changed", "internal_error"}[r]
}

type counters struct {
	connection.Counters
	dropped [closeReasons]atomic.Int64
}

func (c *counters) drop(r closeReason) { c.dropped[r].Add(1) }

// Stats may be called from any goroutine.
func (k *Keeper) Stats() connection.Stats {
	s := k.stats.Stats()
	s.Answered, s.PostsWaiting = k.stats.dropped[answered].Load(), int64(k.messages.Waiting())
	a := k.auth.Stats()
	s.AuthorizeErrors, s.AuthorizeQueued, s.AuthorizeQueueFull = a.Errors, a.Queued, a.QueueFull
	s.Inbound = k.received.Total()
	s.Rejected, s.TokensRefused = k.requests().Rejected(), k.requests().TokensRefused()
	s.CacheHits, s.CacheMisses, s.CacheEvicted = k.auth.Cache.Counts()
	for _, f := range k.forms {
		s.Held[f.transport()] += f.open.Load()
	}
	for r := range closeReasons {
		if r != answered {
			s.Dropped[r.String()] = k.stats.dropped[r].Load()
		}
	}
	s.Skipped[string(channel.DropOldest)] = k.stats.DroppedOldest.Load()
	s.Skipped[string(channel.LatestOnly)] = k.stats.Superseded.Load()
	return s
}
