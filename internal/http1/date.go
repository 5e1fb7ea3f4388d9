package http1

import (
	"net/http"
	"time"
)

// Date renders the field Date, which a forwarded response must have (RFC 9110 §6.6.1), once per second.
type Date struct {
	second int64
	line   []byte
}

// Append adds the line of Date for a time.
func (d *Date) Append(b []byte, now time.Time) []byte { return append(b, d.Line(now)...) }

// Line returns the line of Date for a time, valid until the next call.
func (d *Date) Line(now time.Time) []byte {
	if now.Unix() != d.second || d.line == nil {
		d.second = now.Unix()
		d.line = AppendDate(d.line[:0], now)
	}
	return d.line
}

// AppendDate appends the line of Date for a time, and renders it each time. Date is faster for frequent responses.
func AppendDate(b []byte, now time.Time) []byte {
	return append(now.UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat), "\r\n"...)
}
