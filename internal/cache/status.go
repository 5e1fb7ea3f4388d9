package cache

import (
	"strconv"
	"time"

	"holdfast/internal/cache/headers"
)

// Cache-Status (RFC 9211) says what has become of a request. These add its line, without an allocation.

// Forward is why a request went to the app.
type Forward uint8

// The reasons, by their names in RFC 9211 §2.2.
const (
	FwdBypass  Forward = iota // a Reason passes it
	FwdMethod                 // the rule is not for its method
	FwdURIMiss                // nothing is stored for its key
	FwdVary                   // something is, for other values of what it varies by
	FwdStale                  // what is stored is stale
	FwdRequest                // its Cache-Control asks for it
)

var forwards = [...]string{"bypass", "method", "uri-miss", "vary-miss", "stale", "request"}

// AppendHit adds Cache-Status for the entry that answers the request. Behind one that is stale, ttl is negative.
func (e *Entry) AppendHit(b []byte, now time.Time) []byte {
	b = append(b, "Cache-Status: holdfast; hit; ttl="...)
	b = strconv.AppendInt(b, ttlSeconds(e.TTL(now)), 10)
	return append(b, "\r\n"...)
}

// ttlSeconds rounds down, as Age does: what has been stale for half a second is at -1.
func ttlSeconds(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		n--
	}
	return max(min(n, headers.MaxSeconds), -headers.MaxSeconds)
}

// AppendForwarded adds Cache-Status for a response of the app: why it was asked, and what became of the response. A reason
// of None is that it is stored. status is the app's own if that is not the client's, as a 304; 0: it is.
func AppendForwarded(b []byte, fwd Forward, status int, why Reason) []byte {
	b = append(b, "Cache-Status: holdfast; fwd="...)
	b = append(b, forwards[fwd]...)
	if status != 0 {
		b = append(b, "; fwd-status="...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	if why == None {
		b = append(b, "; stored"...)
	} else {
		b = append(b, "; detail="...)
		b = append(b, why.String()...)
	}
	return append(b, "\r\n"...)
}

// AppendCollapsed adds Cache-Status for the response of another request's fetch. why is as in AppendForwarded.
func AppendCollapsed(b []byte, fwd Forward, why Reason) []byte {
	b = append(b, "Cache-Status: holdfast; fwd="...)
	b = append(b, forwards[fwd]...)
	b = append(b, "; collapsed"...)
	if why != None {
		b = append(b, "; detail="...)
		b = append(b, why.String()...)
	}
	return append(b, "\r\n"...)
}
