// Package heldrecord has what a held connection is, besides its socket, as plain values: so another process can take it
// over and go on. Compressed WebSockets need nothing more, as no message needs the one before.
package heldrecord

import (
	"net/netip"
	"time"
)

// Version is the version of what Append appends.
const Version = 1

// Record is a held connection.
type Record struct {
	Dialect  string // name of the dialect
	ID       string // as the app knows it
	Channels []Channel
	Client   netip.AddrPort // of the client; invalid: the peer
	Session  *Session       // nil: none

	Queue    []Item    // not sent yet, in order
	Pongs    [2][]byte // the newest of each kind that is to be sent; nil: none
	Reported bool      // the log has a line about dropped messages

	Answered bool // the response is complete, and the channels are left; the queue is still to be sent
	Pinged   bool // no data from the client since the last heartbeat
	Stalled  bool // the queue did not move since the last heartbeat
	Paused   bool // the client is not read for a while

	Lead time.Duration // how far the client is ahead of its rate

	Inbound *Inbound // of a WebSocket; nil: nothing of its client is stored
	Poll    *Poll    // of a long poll
}

// Channel is a name or a pattern that the connection has subscribed to.
type Channel struct {
	Name   string
	Access string // what a client needed to subscribe to it
}

// Item is something that is not sent yet: bytes, or a message or the gap in the place of several.
type Item struct {
	Bytes   []byte // nil: those of the message
	Message uint64 // ID of the message; 0: none
	Channel string // of the message
	Gap     bool   // messages up to this one were dropped
	Counted bool   // counts towards the client's send queue
}

// Session is who the client is.
type Session struct {
	Told        bool // the observer was notified of the connection
	User        string
	Rank        uint64   // among the user's connections: of a newer one it is greater; 0: they are not counted
	Credentials []uint64 // of its sessions of the app, its own first
	Grant       *Grant   // of its token; nil: it has none
	Ask         *Request // the next authorization request; nil: none
	Asking      bool     // it was sent, and has no response

	Expires       time.Time // when to send it; zero: only after an event
	Failing       time.Time // since when these requests fail; zero: they don't
	NextHeartbeat time.Time
}

// Grant is what a token allows.
type Grant struct {
	User      string
	ExpiresAt time.Time
	Channels  []string // nil: its user's own
}

// Request is the content of an authorization request.
type Request struct {
	Channels []string

	Host, Cookie, Authorization, UserAgent, AcceptLanguage string
	Proto, ClientAddr, ForwardedFor                        string
	ForwardedHost, ForwardedPort                           string
}

// Inbound is what a WebSocket's client has sent that is not handled.
type Inbound struct {
	Login       *Request // for later requests; nil: not kept
	FrameErrors int
	Queued      []Message // that wait for an earlier one

	Unread []byte // bytes of frames
	Open   *Open  // a message of which fragments have come; nil: none
	Since  time.Time
}

// Open is a message of which fragments have come.
type Open struct {
	Op       byte
	Received int    // bytes of the fragments
	Whole    bool   // Body has them
	Body     []byte // if Whole, or if Deflated
	Tail     []byte // of a text: an unfinished character
	Deflated bool
}

// Message is a message of a client.
type Message struct {
	Data []byte
	Op   byte
}

// Poll is a long poll.
type Poll struct {
	Rest        []byte // bytes of the next request
	Fields      string // lines for the head of the response
	Close, Gzip bool
}
