// Package watch asks the app for the state of channels that have subscribers, and publishes it when it has changed. So an
// app that can only be polled is polled once for each channel, by Holdfast, and not by every page.
//
// # A channel's way
//
//	held ──► due ──► asked ──► due again, an interval later, or later still if the app fails
//	          ▲                 │
//	          └── held again ── resting ──► forgotten after a minute
//
// The first subscriber's channel is due at once. Its second request comes at a random time within the interval, so that
// channels that began together do not stay together. A channel that nobody holds rests: it is not asked, but what is known
// of it stays for a minute. If it is held again meanwhile, it is due when it would have been. So a page that is loaded again,
// or a client that comes and goes, costs the app nothing.
//
// Beyond Options.MaxChannels, channels wait in line until another one is forgotten or fails. One that fails goes to the end of
// the line.
//
// # What is published
//
// A value that differs from the one before, and the first one, unless the channel's newest message has the same data: from
// before a restart, or because the app has published it by itself. While a value stays the same, the age of its message in
// history begins anew, so that it is there for later subscribers.
//
// An answer may be older than a message that somebody has published while it was on its way. Then the app is asked once
// more. Messages of others put the next request off, by an interval each, four times in a row at most.
//
// # Goroutines
//
// [Watcher.Serve] is one that waits for the next channel to be due. It starts up to Options.InFlight others, each of which
// asks as long as something is due. A channel is never asked twice at the same time.
package watch
