// Package hub keeps channels, messages and subscribers: maps and one lock, no sockets, no HTTP, no
// goroutines.
//
// # Words
//
// A [Message] is published to one or more channels and has an [ID] that grows with the order of
// acceptance. A [Subscriber] stands in a set of channels; where it stands is its [Membership]. Delivery runs
// on event loops, and each loop has a [Lane]: a subscriber belongs to one lane for life, and everything
// about it (Join, Leave, Deliver, its Membership) happens on that lane's goroutine, so it needs no lock. A
// [Group] is all subscribers of one lane with exactly the same set of channels.
//
// A name in a set may be a pattern, "orders.*" or "orders.**": its groups get what every channel gets that it matches,
// once like all others, on the channel that it was published to. Which patterns match a channel is found by its segments.
//
// # A message's way
//
// [Hub.Publish] gives it its id and, under the lock, appends it to the history of its channels and to the
// pending list of each of their groups; a group that has both channels of a message gets it once. The
// lane of such a group is told that it has work (OnWork) and walks the members at its own pace:
// [Lane.Step] hands at most about n members what is pending and then lets the next group have its turn,
// so that a channel with 10,000 subscribers does not hold up a channel with one.
//
// # What is promised
//
//   - Order: a subscriber gets messages by growing id, each once, whatever its channels have in common.
//   - Nothing is lost in silence: what Publish accepted goes to every subscriber that stood in the channel
//     then, until that subscriber leaves. One that comes back with the last id it has (resume) gets what
//     came since, or is told of a [Gap], channel by channel.
//   - No false gap for a channel that exists (somebody subscribes to it, or it has history). A channel that
//     was forgotten leaves the newest id it lost in a small table that it may share with other names,
//     and then a gap may be told where none was: the safe direction.
//   - Publish never waits for a subscriber. What is accepted and not yet delivered is bounded by
//     Options.Backlog; beyond it Publish refuses with [ErrBusy] and accepts nothing.
//   - What a publisher says is still true (Renew) does not get too old.
//   - History is bounded per channel by its rule and over all channels by Options.HistoryTotal: the
//     least recently used channel gives up its oldest message first.
//
// # What outlives the process
//
// A hub from [Open] has a [Store], in which [Hub.Save] keeps a copy of all history, one batch after the other. Nothing
// else waits for it: [Hub.Saved] is for publishers that want to. When such a hub begins it goes on with what is in the store. An
// id that a process has given out and not written, before it was cut off, gets a gap for every channel.
//
// # Who is there
//
// Of the channels that Options.Watch names, [Hub.TakeOccupancy] tells which got their first subscriber or lost
// their last one.
//
// A slow subscriber is the business of its Deliver, which must not block: it writes, keeps what the kernel
// refused, and drops the connection when that is too much. The hub knows only that Deliver returned.
package hub
