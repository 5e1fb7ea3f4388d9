package subscribe

import "sync/atomic"

// rejectReason is why a subscribe request was rejected, as the label of a metric. The zero value leaves it to the status.
type rejectReason uint8

const (
	byStatus      rejectReason = iota
	badRequest                 // the request is malformed
	denied                     // by the app, a token or the channel's rule
	foreignOrigin              // the page's origin is not allowed
	userLimit                  // push.max_connections_per_user
	limitReached               // push.max_connections
	shuttingDown               // Holdfast shuts down
	unavailable                // the app failed, or too many requests wait
	internalError              // a panic
	rejectReasons
)

func (r rejectReason) String() string {
	return [rejectReasons]string{"", "bad_request", "denied", "origin", "user_limit", "connection_limit", "draining",
		"unavailable", "internal_error"}[r]
}

// rejectReasonOf returns the reason that a status alone tells.
func rejectReasonOf(status int) rejectReason {
	switch status {
	case 401, 403:
		return denied
	case 429:
		return userLimit
	case 500:
		return internalError
	case 503:
		return unavailable
	}
	return badRequest
}

// counters count rejected requests.
type counters struct {
	rejected      [rejectReasons]atomic.Int64
	tokensRefused atomic.Int64
}

// reject counts a subscribe request that gets status.
func (c *counters) reject(why rejectReason, status int) {
	if why == byStatus {
		why = rejectReasonOf(status)
	}
	c.rejected[why].Add(1)
}

// Rejected returns how many requests were rejected, by reason.
func (s *Server) Rejected() map[string]int64 {
	counts := map[string]int64{}
	for r := byStatus + 1; r < rejectReasons; r++ {
		counts[r.String()] = s.counts.rejected[r].Load()
	}
	return counts
}

// TokenRefused counts a token that is missing, invalid, or more than one.
func (s *Server) TokenRefused() { s.counts.tokensRefused.Add(1) }

// TokensRefused returns their number.
func (s *Server) TokensRefused() int64 { return s.counts.tokensRefused.Load() }
