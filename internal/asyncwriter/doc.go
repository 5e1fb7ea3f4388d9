// Package asyncwriter writes to a file or a pipe that may be slow, from code that must not wait: an event loop. What cannot be
// written yet is queued up to a limit, and what exceeds the limit is dropped and counted.
package asyncwriter
