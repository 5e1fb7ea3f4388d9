// Package holding has the options of what holds connections.
package holding

import (
	"log/slog"
	"time"

	"holdfast/internal/accesslog"
	"holdfast/internal/appcall"
	"holdfast/internal/auth"
	"holdfast/internal/connection"
	"holdfast/internal/http1"
	"holdfast/internal/hub"
	"holdfast/internal/inspect"
	"holdfast/internal/park"
	"holdfast/internal/subscribe"
)

// Options of a Keeper.
type Options struct {
	subscribe.Settings // of the beginning; see Keeper.Use

	Paths        []string      // of the push URLs; none is below another
	Compress     int           // minimum bytes of data of a message to compress; 0: none is compressed
	Live         bool          // cookies are kept, so that channels with access authorize can be joined later
	InboundTotal int64         // bytes stored of what all clients send; 0: no limit
	MaxPerUser   int           // of one user; 0: any number
	Stall        time.Duration // how long a client may take nothing, without a heartbeat; twice at most; 0: 25 s

	Inspect    *inspect.Sessions // of holdfast doctor; nil: none
	Authorizer auth.Authorizer   // requests authorization from the app, on a worker; nil: push.authorize_path is not set
	Asking     int               // requests to Authorizer at once; others wait in a queue; 0: 64

	Message  func(auth.Request, appcall.ClientMessage) (appcall.Reply, error) // posts a client message to the app, on a worker; nil: client messages are off
	InFlight int                                                              // of these posts at once

	AuthorizeCache time.Duration // how long an allowed response is cached for an identical request; 0: not at all
	RenewalLimit   time.Duration // how long it continues while the app is asked again; 0: 30 s more than that
	LogoutCookies  []string      // session cookies that the app clears at logout
	LogoutPaths    http1.PathSet // after a request to one, the session's connections are authorized again
	OwnPaths       []string      // requested by Holdfast itself: a new session cookie in such a response is no reason to authorize again

	Observer connection.Observer // nil: no notifications

	Disconnected func(credentials []uint64) // is called on a loop with the sessions of a connection that Disconnect closes; nil: nothing is

	Hub    *hub.Hub
	Poller *park.Poller
	Log    *slog.Logger
	Access *accesslog.Log // nil: none

	// Resume takes a keep-alive connection back, on its loop. rest was read already; more means that further bytes may
	// wait for which no event follows.
	Resume func(c *park.Conn, rest []byte, more bool)
}
