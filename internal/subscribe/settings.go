package subscribe

import (
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/channel"
)

// Settings are what may change while connections are held. They are not changed themselves: a request keeps those with
// which it has begun.
type Settings struct {
	Rules       *channel.Rules
	Origins     []string      // allowed besides the same origin: lower case, without a default port
	Tokens      auth.Verifier // verifies tokens, on a worker; nil: tokens are off
	TokenCookie string        // cookie that may have a token; empty: none

	MaxChannels    int           // of one connection
	MaxConnections int           // held at once; 0: no separate limit
	Heartbeat      time.Duration // interval of heartbeats on an idle connection; 0: none
	Wait, MaxWait  time.Duration // of a long poll: by default, and at most
	MaxMessage     int           // bytes of a message from a client
	MessageRate    int           // messages of one client per second
	ReceiveTime    time.Duration // for a message to arrive, plus a second for each kB; 0: no limit
	SendQueue      int           // bytes queued for one slow client
	SendQueueTotal int64         // bytes queued for all slow clients
	AuthorizeGrace time.Duration // how long a connection continues whose authorization has expired while the app can't be reached
}
