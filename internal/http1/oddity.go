package http1

// Oddity is a set of harmless faults in a response, which Holdfast corrects.
type Oddity uint16

const (
	BareLF           Oddity = 1 << iota // lines that end in LF alone
	NoColon                             // a line without a colon; dropped
	EqualLengths                        // the same Content-Length again; dropped
	EmptyLength                         // a Content-Length without a value; dropped
	EqualLocations                      // another Location; dropped
	ScriptFraming                       // Transfer-Encoding of a script, which is the server's to set (RFC 3875 §6.3.4); dropped
	NoHead                              // no field at all from a script; a 200
	PaddedChunk                         // white space behind the size of a chunk
	ForbiddenTrailer                    // a trailer that only a head may have; dropped
	IdentityCoding                      // Transfer-Encoding: identity, or empty; dropped
	EqualCodings                        // Transfer-Encoding: chunked again; one is sent on
	OddName                             // a field whose name is no token; dropped
	StatusLine                          // a status line of a script, where CGI has Status
	EqualDates                          // another Date; dropped
)

// Oddities has the label of each in metrics and its text in the log, in the order of the bits.
var Oddities = [...]struct{ Label, Line string }{
	{"bare_lf", "the app ends lines of a response's head or of its chunks in LF alone; they are sent on with CRLF"},
	{"no_colon", "the app sends a header line without a colon; the line is dropped"},
	{"equal_lengths", "the app sends the same Content-Length more than once; one is sent on"},
	{"empty_length", "the app sends an empty Content-Length; it is dropped"},
	{"equal_locations", "the app sends more than one Location; the first is sent on"},
	{"script_framing", "the script sets Transfer-Encoding, which is the server's to set; it is dropped"},
	{"no_head", "the script sends no header field; the response is a 200 without a Content-Type"},
	{"padded_chunk", "the app fills up the sizes of chunks with spaces; they are sent on without"},
	{"forbidden_trailer", "the app sends fields behind a body that only a head may have; they are dropped"},
	{"identity_coding", "the app sends Transfer-Encoding: identity, or an empty one; it is dropped"},
	{"equal_codings", "the app sends Transfer-Encoding: chunked more than once; one is sent on"},
	{"odd_name", "the app sends a header whose name has bytes that no name may have; it is dropped"},
	{"status_line", "the script sends a status line instead of Status; its status counts"},
	{"equal_dates", "the app sends more than one Date; the first is sent on"},
}
