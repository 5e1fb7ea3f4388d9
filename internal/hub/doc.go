// Package hub keeps channels, messages and subscribers: maps and one lock, no sockets, no HTTP, no goroutines.
//
// # Words
//
// A [Message] is published to one or more channels and has an [ID] that grows with the order of acceptance. A
// [Subscriber] is subscribed to a set of channels; its [Membership] is its place among them. Delivery runs on event
// loops, and each loop has a [Lane]. A subscriber always belongs to the same lane, and everything about it (Join,
// Leave, Deliver, its Membership) happens on that lane's goroutine, so it needs no lock. A [Group] is all subscribers
// of one lane with exactly the same set of channels.
//
// A name in a set may be a pattern, "orders.*" or "orders.**". Its groups get the messages of all channels that it
// matches, each once, on the channel that it was published to. The hub finds the patterns that match a channel by the
// channel's segments.
//
// # The way of a message
//
// [Hub.Publish] gives it an ID and, under the lock, appends it to the history of its channels and to the pending list
// of each of their groups; a group with several of its channels gets it once. The hub wakes the lane of such a group
// (OnWork), which delivers in slices: [Lane.Step] hands the pending messages to about n members and then turns to the
// next group, so that a channel with 10,000 subscribers does not delay a channel with one.
//
// # Guarantees
//
//   - Order: a subscriber gets messages by growing ID, each once, even if several of its channels have it.
//   - No silent loss: a message that Publish accepted goes to every subscriber of the channel at that time, until that
//     subscriber leaves. One that resumes with the last ID it has gets the messages since then, or a [Gap] for each
//     channel that may have lost some.
//   - No false gap for a channel that exists (it has subscribers or history). A deleted channel leaves the newest ID
//     that it lost in a small table, in an entry that other names may share. So a gap may be reported without a loss,
//     but never the reverse.
//   - Publish never waits for a subscriber. Options.Backlog limits the messages that are accepted and not yet
//     delivered; beyond it, Publish returns [ErrBusy] and accepts nothing.
//   - A message that its publisher renews ([Hub.Renew]) does not become too old for its history.
//   - A rule limits the history of each channel, and Options.HistoryTotal that of all channels: the least recently used
//     channel drops its oldest message first.
//
// # History
//
// History is text in blocks without pointers ([slab]), so that a garbage collection has nothing to look at. A subscriber
// that resumes gets messages that are copies of it, shared with all who still have them or have resumed at about the same
// time. Many are copied some at a time, so that others have the lock in between.
//
// # History in a store
//
// A hub from [Open] has a [Store], to which [Hub.Save] writes a copy of all history, one batch after the other. Only
// publishers that call [Hub.Saved] wait for that. After a restart, the hub continues with the history in the store. A
// client whose ID was given out but not written before a crash gets a gap for every channel.
//
// # Another process
//
// An [Image] is what the hub of another process needs to continue, see [Import] and internal/hubimage.
//
// # Occupancy
//
// [Hub.TakeOccupancy] reports which channels got their first subscriber or lost their last one, of those that
// Options.Watch selects.
//
// # Slow subscribers
//
// Deliver must not block. It writes, queues what the kernel does not accept, and closes the connection when that is too
// much. The hub knows only that Deliver has returned.
package hub
