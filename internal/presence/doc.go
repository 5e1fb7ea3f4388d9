// Package presence tracks which channels have subscribers, which users have connections, and which users are in the
// channels whose rule asks for it. It makes an event when one of these changes.
//
// # Events
//
// The event of an arrival is made at once. The event of a departure is made after a grace period without a return, so
// that reloading a page is no departure. For one channel, one user, or one user in one channel, arrivals and departures
// always alternate.
//
// # Cost
//
// A channel has an entry only during its grace period. A user, and a user in a channel, has one entry, however many
// connections there are. The entries in their grace period are in one list, by the time of departure: the period is the
// same for all, so they need no timers. A connection without a user, or in channels whose rule has no presence, costs
// nothing.
package presence
