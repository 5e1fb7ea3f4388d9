package upgrade

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"holdfast/internal/channel"
	"holdfast/internal/connection"
	"holdfast/internal/ending"
	"holdfast/internal/hub"
	"holdfast/internal/render"
)

// errLongPoll is why a long poll is not changed: the client's next poll would request the old channels again.
var errLongPoll = errors.New("a long poll's channels are those of its request")

// channelChange is the channels that a held connection joins and leaves; one in both lists is joined.
type channelChange struct {
	join, leave []string
	after       ResumePoint // where the joined channels begin
	ref         string      // JSON, to be sent back; empty: none
	dropQueued  bool        // also drop queued messages of the channels that are left
}

// apply changes the channels of a WebSocket or a stream, on its loop and not from within a Deliver. The client first
// gets the messages published until then, and a notice of the change if its dialect has one. An error says why nothing
// was changed; its text is for the client or the app that requested the change.
func (m channelChange) apply(x *held) error {
	if x.form.asksAgain() {
		return errLongPoll
	}
	before := x.membership.Group().Channels()
	set := slices.Grow(channel.Without(before, slices.Sorted(slices.Values(m.leave))), len(m.join))
	for _, name := range m.join {
		if err := x.k.requests().Check(name, x.client()); err != nil {
			return err
		}
		set = append(set, name)
	}
	slices.Sort(set)
	if set = slices.Compact(set); len(set) > x.k.live().MaxChannels && len(set) > len(before) {
		x.k.requests().LogRejected(slog.LevelInfo, "push.max_channels reached", x.client(), "limit", x.k.live().MaxChannels)
		return fmt.Errorf("more than %d channels", x.k.live().MaxChannels)
	}
	replay := x.lane().Join(x, set, m.after.ID, m.after.HasID)
	notifyChanged(x, before, set)
	if m.dropQueued && len(m.leave) > 0 && x.queue != nil {
		if x.queue.RemoveLeft(x.membership.Group(), x.form.render); x.queue.Empty() {
			x.queue = nil
		}
	}
	if len(replay.Gaps) > 0 && !x.form.canGap() {
		x.form.close(x, ending.Closing{Code: codeGap, CodeText: gapText, Why: ending.GapUnsupported})
		return nil
	}
	if b := x.form.changed(x, m, replay); len(b) > 0 && !x.send(b, false) {
		return nil
	}
	if len(replay.Messages) > 0 {
		x.form.deliver(x, replay.Messages, false)
	}
	return nil
}

// objects returns the subprotocol's objects for a change and its gaps.
func (m channelChange) objects(x *held, replay hub.Replay) [][]byte {
	c := render.Change{Join: m.join, Leave: m.leave, Ref: m.ref, Position: x.membership.Position(), Replay: replay}
	return c.Objects()
}

// notifyChanged notifies the observer of the channels that were joined and left.
func notifyChanged(x *held, before, after []string) {
	if s, o := x.session, x.k.o.Observer; s != nil && o != nil {
		s.Told = connection.TellChange(o, s.Told, x.connection(after), before)
	}
}
