// Package takeover moves what a running process has to a process of a new binary: its listeners, its connections and its
// state.
//
// # Two processes
//
// A [Giver] is in the old process. It starts the new one with one end of a socket pair, which is the only way between
// them. A [Taker] is in the new process. Until both have said the final word, the old process owns everything: if the new
// one ends, stops responding, or refuses something, the old one continues as if nothing had happened.
//
// What moves is of two kinds. A [Part] is state that moves as a whole, such as the channels with their history. A [Kind]
// is a kind of connection: each connection moves with a record of its own. Both have a name and a version. If the new
// process does not know a version, the old one continues.
package takeover
