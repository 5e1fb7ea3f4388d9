// Package histfile has a hub's history in a file, so that it outlives the process: a [hub.Store] on bbolt.
//
// The file has four buckets. "messages" has a key for each message and channel, the id and then the channel's name, so
// that new ones come at the end; "runs" what each process has given out; "lost" what channels have lost of which no message
// is left; "about" the format and a few ids. Every value has a checksum of its key and itself.
//
// One process at a time has the file. It grows with what is kept at once and does not shrink; what was dropped is
// room for what comes.
package histfile
