package http1

import (
	"net/http"
	"time"
)

// Date renders the field of that name, which an answer that is passed on must have (RFC 9110 §6.6.1), once a second.
type Date struct {
	second int64
	line   []byte
}

// Append adds the line of Date for a time.
func (d *Date) Append(b []byte, now time.Time) []byte {
	if now.Unix() != d.second || d.line == nil {
		d.second = now.Unix()
		d.line = append(now.UTC().AppendFormat(append(d.line[:0], "Date: "...), http.TimeFormat), "\r\n"...)
	}
	return append(b, d.line...)
}
