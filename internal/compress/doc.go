// Package compress compresses the bodies of responses while they pass: gzip, brotli or zstd, as the client accepts. It does
// no I/O. Bodies are never in memory as a whole.
//
//	request head ── Rule.Begin ──► Response
//	      │ Response.Request: the app's own entity tags
//	response head ── Response.Head ── false: untouched, but perhaps for Vary
//	      │ true: without length and framing, which the first piece decides on
//	   Response.Add ... Add(last) ──► Client.Send
//
// A Response gathers what it is given up to 32 kB. It compresses a piece when that is reached, at the end of the body, or when
// the source has paused for 5 ms. The last flushes the compressor, so an app that writes a little at a time keeps its pace,
// and one that writes fast in small pieces loses nothing. A body that ends before any of it is compressed has a
// Content-Length, and stays as it is if it is short, or compression makes it longer.
//
// A piece takes a few tenths of a millisecond. A loop compresses 32 kB in a round of events itself; the rest goes to
// workers.
//
// Memory. A compressor has about a megabyte, so it is of a pool, and only so many of them belong to a response for longer than
// a piece. Beyond that, responses are in gzip, whose pieces can be compressed one by one.
package compress
