package proxy

import (
	"holdfast/internal/http1"
	"holdfast/internal/throttle"
)

// notice is something that an app does and that Holdfast puts up with or works around.
type notice uint8

const (
	boundLogin notice = iota
	closedLogin
	bareLF // from here on, the bits of http1.Oddity in their order
	noColon
	equalLengths
	emptyLength
	equalLocations
	scriptFraming
	noHead
	paddedChunk
	forbiddenTrailer
	identityCoding
	equalCodings
	noticeCount
)

// notices are the label of each in metrics, and its line in the log.
var notices = [noticeCount]struct{ label, line string }{
	boundLogin:  {"login_bound", "the app logs in connections (NTLM, Negotiate); each client gets one of its own"},
	closedLogin: {"login_closed", "the app logs in connections (NTLM, Negotiate); behind a trusted proxy each is closed after use (trusted_proxies)"},

	bareLF:           {"bare_lf", "the app ends lines of a response's head or of its chunks in LF alone; they are sent on with CRLF"},
	noColon:          {"no_colon", "the app sends a header line without a colon; the line is dropped"},
	equalLengths:     {"equal_lengths", "the app sends the same Content-Length more than once; one is sent on"},
	emptyLength:      {"empty_length", "the app sends an empty Content-Length; it is dropped"},
	equalLocations:   {"equal_locations", "the script sends more than one Location; the first is sent on"},
	scriptFraming:    {"script_framing", "the script sets Transfer-Encoding, which is the server's to set; it is dropped"},
	paddedChunk:      {"padded_chunk", "the app fills up the sizes of chunks with spaces; they are sent on without"},
	forbiddenTrailer: {"forbidden_trailer", "the app sends fields behind a body that only a head may have; they are dropped"},
	identityCoding:   {"identity_coding", "the app sends Transfer-Encoding: identity; it is dropped"},
	equalCodings:     {"equal_codings", "the app sends Transfer-Encoding: chunked more than once; one is sent on"},
	noHead:           {"no_head", "the script sends no header field; the response is a 200 without a Content-Type"},
}

// noticeAll counts what is odd in the head of an answer.
func (x *exchange) noticeAll(odd http1.Oddity) {
	for n := bareLF; odd != 0; n, odd = n+1, odd>>1 {
		if odd&1 != 0 {
			x.notice(n)
		}
	}
}

// noticed counts the notices of one upstream.
type noticed [noticeCount]throttle.Throttle

// notice counts n, and logs it now and then.
func (x *exchange) notice(n notice) {
	s := x.app.server
	if s == nil {
		return
	}
	if total, due := x.f.p.noticed[s.Index][n].Due(x.f.loop.Now()); due {
		x.f.p.o.Log.Warn(notices[n].line, "upstream", s.String(), "kind", notices[n].label, "path", x.route.paths.Match, "total", total)
	}
}

// counts returns how often each notice was made, by its label.
func (s *noticed) counts() map[string]int64 {
	m := make(map[string]int64, noticeCount)
	for i := range s {
		m[notices[i].label] = s[i].Total()
	}
	return m
}
