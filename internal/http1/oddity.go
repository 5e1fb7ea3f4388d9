package http1

// Oddity is a set of faults in the head of an answer that tear nothing and are mended.
type Oddity uint16

const (
	BareLF           Oddity = 1 << iota // lines that end in LF alone
	NoColon                             // a line without a colon; dropped
	EqualLengths                        // the same Content-Length again; dropped
	EmptyLength                         // a Content-Length without a value; dropped
	EqualLocations                      // another Location of a script; dropped
	ScriptFraming                       // Transfer-Encoding of a script, which is the server's to set (RFC 3875 §6.3.4); dropped
	NoHead                              // no field at all from a script; a 200
	PaddedChunk                         // white space behind the size of a chunk
	ForbiddenTrailer                    // a trailer that only a head may have; dropped
	IdentityCoding                      // Transfer-Encoding: identity; dropped
	EqualCodings                        // Transfer-Encoding: chunked again; one is sent on
)
