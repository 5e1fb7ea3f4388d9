package upgrade

import "holdfast/internal/connection"

// begun notifies the observer, if it wants this connection, that the connection has joined its channels.
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

// connection returns the description of x for the observer and the API.
func (x *held) connection(channels []string) connection.Info {
	return connection.Info{ID: x.k.index.ID(x), User: x.session.User(), Transport: x.form.transport(), Channels: channels, RemoteAddr: x.c.RemoteAddr()}
}

// ended notifies the observer, if it was notified of the beginning. leave takes the connection out of its channels.
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
