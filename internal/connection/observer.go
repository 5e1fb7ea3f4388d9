package connection

import "holdfast/internal/channel"

// Observer is notified of held connections. Its methods run on the connection's loop and must not block.
type Observer interface {
	// Wants reports whether it is to be told of a connection. One that it does not want costs nothing.
	Wants(user string, channels []string) bool

	// Begun is called when a connection has joined its channels, before its first bytes are sent.
	Begun(c Info)

	// Adopted is Begun for a connection that another process has begun and told of.
	Adopted(c Info)

	// Changed tells that it has joined some channels, left others or both. c has those that it holds now.
	Changed(c Info, join, leave []string)

	// Ended tells that it has left them. It comes once for each Begun.
	Ended(c Info, reason string)
}

// TellChange notifies o of a connection that had other channels before. told says whether o was notified of the connection;
// TellChange returns whether it is now.
func TellChange(o Observer, told bool, c Info, before []string) bool {
	if !told {
		if told = o.Wants(c.User, c.Channels); told {
			o.Begun(c)
		}
		return told
	}
	join, leave := channel.Without(c.Channels, before), channel.Without(before, c.Channels)
	if len(join)+len(leave) > 0 {
		o.Changed(c, join, leave)
	}
	return true
}
