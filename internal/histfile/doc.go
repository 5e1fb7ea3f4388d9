// Package histfile stores a hub's history in a file, so that it outlives the process. It is a [hub.Store] on bbolt.
//
// The file has four buckets. "messages" has a key for each message and channel: the id and then the channel's name, so
// that new keys are the last. "runs" has the ids that each process has given out. "lost" has the newest id that a channel
// has lost, if none of its messages is left. "about" has the format and a few ids. Every value has a checksum of its key
// and itself.
//
// One process at a time opens the file. The file grows with what is stored at once and does not shrink: dropped messages
// leave room for new ones.
package histfile
