package upgrade

import "crypto/rand"

// Observer is told of held connections. Its methods run on the connection's loop and must not block.
type Observer interface {
	// Wants reports whether it is to be told of a connection. One that it does not want costs nothing.
	Wants(user string, channels []string) bool

	// Begun tells of a connection that is in its channels, before its first bytes are sent.
	Begun(c Connection)

	// Changed tells that it has joined some channels, left others or both. c has those that it holds now.
	Changed(c Connection, join, leave []string)

	// Ended tells that it has left them. It comes once for each Begun.
	Ended(c Connection, reason string)
}

// Connection is a held connection.
type Connection struct {
	ID       string // opaque, and never another's
	User     string // whom push.authorize has named; empty: nobody
	Kind     string // websocket, sse or longpoll
	Channels []string
}

// session is who holds a connection.
type session struct {
	id   string
	user string
	told bool // the observer knows of it
}

// begun tells the observer, if it wants to know, that the connection has joined its channels.
func (x *held) begun(user string) {
	o := x.k.o.Observer
	if o == nil {
		return
	}
	channels := x.stand.Group().Channels()
	wants := o.Wants(user, channels)
	if !wants && (user == "" || x.kind == longPoll) {
		return
	}
	x.session = &session{rand.Text(), user, wants} // of a user: it may come into channels that are of interest
	if wants {
		o.Begun(x.connection(channels))
	}
}

// named is a beginning of its own: whom the app names later was nobody before.
func (x *held) named(user string) {
	if s := x.session; s != nil && s.told {
		x.k.o.Observer.Ended(x.connection(x.stand.Group().Channels()), "named")
	}
	x.session = nil
	x.begun(user)
}

func (x *held) connection(channels []string) Connection {
	return Connection{x.session.id, x.session.user, x.kind.String(), channels}
}

// leaveChannels takes the connection out of its channels, and tells the observer.
func (x *held) leaveChannels(why dropReason) {
	if x.session == nil {
		x.lane().Leave(x)
		return
	}
	c := x.connection(x.stand.Group().Channels())
	x.lane().Leave(x)
	told := x.session.told
	x.session = nil
	if told {
		x.k.o.Observer.Ended(c, why.String())
	}
}
