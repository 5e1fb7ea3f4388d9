package upgrade

import "holdfast/internal/connection"

// Observer is told of held connections. Its methods run on the connection's loop and must not block.
type Observer interface {
	// Wants reports whether it is to be told of a connection. One that it does not want costs nothing.
	Wants(user string, channels []string) bool

	// Begun tells of a connection that is in its channels, before its first bytes are sent.
	Begun(c connection.Info)

	// Changed tells that it has joined some channels, left others or both. c has those that it holds now.
	Changed(c connection.Info, join, leave []string)

	// Ended tells that it has left them. It comes once for each Begun.
	Ended(c connection.Info, reason string)
}

// begun tells the observer, if it wants to know, that the connection has joined its channels.
func (x *held) begun() {
	o := x.k.o.Observer
	if o == nil {
		return
	}
	channels := x.membership.Group().Channels()
	if !o.Wants(x.session.User(), channels) {
		return
	}
	x.needSession().Told = true
	o.Begun(x.connection(channels))
}

// connection describes it.
func (x *held) connection(channels []string) connection.Info {
	return connection.Info{ID: x.id(), User: x.session.User(), Transport: x.form.transport(), Channels: channels, RemoteAddr: x.c.RemoteAddr()}
}

// ended tells the observer, if it knows of the connection. leave takes it out of its channels.
func (x *held) ended(reason string, leave func()) {
	if x.session == nil || !x.session.Told {
		leave()
		return
	}
	c := x.connection(x.membership.Group().Channels())
	leave()
	x.session.Told = false
	x.k.o.Observer.Ended(c, reason)
}

// leaveChannels takes the connection out of its channels for good.
func (x *held) leaveChannels(why closeReason) {
	x.ended(why.String(), func() { x.lane().Leave(x) })
	x.dropSession()
}
