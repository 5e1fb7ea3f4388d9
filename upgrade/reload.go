package upgrade

import (
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/ending"
	"holdfast/internal/session"
	"holdfast/internal/subscribe"
)

// Use has new requests, and what held connections do from now on, follow other settings. Connections with a channel that
// the new rules do not allow them are closed; when Use returns, that is done. Don't call it on a loop, nor twice at once.
func (k *Keeper) Use(set *subscribe.Settings) {
	old := k.live()
	k.auth.Cache.EvictMatching("", "") // the app may be another one; before a request with the new settings finds any of it
	k.server.Store(k.requests().With(set))
	k.onEach(connection.Selection{}, func(x *held) {
		if old.Heartbeat <= 0 {
			beginHeartbeat(x)
		}
		if end := recheck(x, func(name string) channel.Access { return auth.Access(old.Rules, name) }); end != nil {
			end()
		}
	})
}

// beginHeartbeat sets the deadline of a connection that has none by itself, as it began without heartbeats.
func beginHeartbeat(x *held) {
	if h := x.k.live().Heartbeat; h > 0 && !x.form.asksAgain() && x.queue == nil {
		x.await(session.Spread(h))
	}
}

// recheck returns what closes a connection if the present rules do not allow one of its channels; nil if they do. was
// returns who could subscribe to a channel by the old ones.
func recheck(x *held, was func(name string) channel.Access) (end func()) {
	s, grant := x.session, (*auth.TokenGrant)(nil)
	if s != nil {
		grant = s.Grant
	}
	name, err := auth.Recheck(was, x.k.live().Rules, x.membership.Group().Channels(), s.User(), grant)
	if err == nil {
		return nil
	}
	return func() {
		x.k.o.Log.Info("connection closed: the rules in channels have changed", "channel", name, "error", err, "user", x.session.User(), "transport", x.form.transport(), "client", x.client())
		x.closeWithStatus(403, "the rules have changed: "+err.Error(), ending.RuleChanged)
	}
}
