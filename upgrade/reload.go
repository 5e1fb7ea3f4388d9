package upgrade

import (
	"holdfast/internal/auth"
	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/session"
	"holdfast/internal/subscribe"
)

// Use has new requests, and what held connections do from now on, follow other settings. Connections with a channel that
// the new rules do not allow them are closed; when Use returns, that is done. Don't call it on a loop, nor twice at once.
func (k *Keeper) Use(set *subscribe.Settings) {
	old := k.live()
	k.server.Store(k.requests().With(set))
	k.auth.Cache.EvictMatching("", "") // the app may be another one
	k.onEach(connection.Selection{}, func(x *held) {
		if old.Heartbeat <= 0 && set.Heartbeat > 0 && !x.form.asksAgain() && x.queue == nil { // no deadline comes by itself
			x.await(session.Spread(set.Heartbeat))
		}
		recheck(x, old.Rules)
	})
}

// recheck closes the connection if the present rules do not allow a channel that it has by old ones.
func recheck(x *held, old *channel.Rules) {
	s, grant := x.session, (*auth.TokenGrant)(nil)
	if s != nil {
		grant = s.Grant
	}
	name, err := auth.Recheck(old, x.k.live().Rules, x.membership.Group().Channels(), s.User(), grant)
	if err == nil {
		return
	}
	x.k.o.Log.Info("connection closed: the rules in channels have changed", "channel", name, "error", err, "user", s.User(), "transport", x.form.transport(), "client", x.client())
	x.closeWithStatus(403, "the rules have changed: "+err.Error(), ruleChanged)
}
