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
//
// # Messages
//
// A message is a packet: its type, and a body of plain values. In order:
//
//	both hello      version of the protocol, version of the binary
//	old  listeners  a name and a descriptor each
//	new  ready      it has built everything; names and versions of the parts and kinds that it knows
//	                from here on, the old process holds everything back
//	old  part, data…, partEnd    each part, in order
//	old  data…, conns            records, and the descriptors of at most 250 connections
//	old  end        how many connections there were
//	old  final      from here on, all of it is the new process's
//	new  mine       the same; after it, the new process begins
//	old  data…, conns            connections that came later, and nobody waits for a response
//	old  data…, note             what it has learned later, by its name: the same
//
// The new process responds to each partEnd, conns and end before mine with ok, and to whatever it does not accept with
// refused.
package takeover
