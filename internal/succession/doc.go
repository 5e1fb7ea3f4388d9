// Package succession has a running Holdfast replaced by a new process, without its clients noticing: it says what of a
// server moves and in which order, what becomes of the process that is left, and what that still has to tell. How it
// moves is in package takeover.
//
// In the old process, [Succession.TakeOver] starts the new one. When that has everything, [Succession.Moved] is closed, and
// [Succession.Leave] waits for the requests in progress. In the new process, [Succession.Arrive] takes everything over,
// before the server serves.
package succession
