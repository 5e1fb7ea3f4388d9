// Package ending has the reasons why held connections end.
package ending

import "github.com/gobwas/ws"

// Reason is why a held connection ended. Its String is the text in the log and the label of the metric.
type Reason uint8

const (
	ClientGone           Reason = iota // the client or the network closed the connection
	ClientClosed                       // a WebSocket's close handshake
	Answered                           // a long poll has its response
	Slow                               // its send queue was full
	PongTimeout                        // no data from the client since the last heartbeat
	BadFrame                           // protocol error of the client
	UnexpectedData                     // data from a client that must not send any
	Draining                           // Holdfast shuts down
	GapUnsupported                     // a raw WebSocket can't receive a gap
	TooManyErrors                      // too many rejected frames
	Refused                            // no longer allowed, by the app or by an expired token
	AuthorizeUnavailable               // the app could not be reached to authorize it again
	LoggedOut                          // the app cleared its session cookie
	Disconnected                       // POST /disconnect of the app
	CrowdedOut                         // its user opened a newer one and is at the limit
	InboundFull                        // the memory for what clients send is full
	SlowSender                         // a message did not arrive in time
	MessageFailed                      // the app failed on a message of a raw WebSocket
	RuleChanged                        // the rules do not allow one of its channels any more
	InternalFailure                    // a panic, of which the log has the stack
	Reasons
)

func (r Reason) String() string {
	return [Reasons]string{"client_gone", "client_closed", "answered", "slow", "pong_timeout",
		"bad_frame", "unexpected_data", "draining", "gap", "too_many_errors", "refused", "authorize_failed", "logged_out", "disconnected", "user_limit",
		"inbound_full", "slow_sender", "message_failed", "rule_changed", "internal_error"}[r]
}

// Closing is how a connection is closed, in the forms that transports have for it.
type Closing struct {
	Status int    // of HTTP
	Text   string // for people

	Code     ws.StatusCode // of a WebSocket, with CodeText, instead of one from Status; 0: none
	CodeText string

	Why Reason
}

// WebSocket returns the close code and its text: 4000 and the status, such as 4401 for an expired token, or 1013 for 503.
func (c *Closing) WebSocket() (code ws.StatusCode, text string) {
	switch {
	case c.Code != 0:
		return c.Code, c.CodeText
	case c.Status == 503:
		return 1013, c.Text // try again later
	}
	return ws.StatusCode(4000 + c.Status), c.Text
}
