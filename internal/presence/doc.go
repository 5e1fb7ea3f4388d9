// Package presence knows who is there: which channels have subscribers, which users have connections, and
// which users are in the channels whose rule asks for it. It tells of each when that changes.
//
// # Coming and going
//
// Whoever comes is told of at once, whoever goes after a grace period in which nobody came back: a page that is
// loaded again is no leave. Told of one channel, one user or one user in one channel, coming and going always
// alternate.
//
// # What it costs
//
// Nothing is kept of a channel but while it is in its grace period; of a user or of a user in a channel, one
// entry, however many connections there are. Those in their grace period stand in one list by the time they
// went, as the period is the same for all: no timer for each. A connection without a user, or in channels that
// no rule has presence for, costs nothing.
package presence
