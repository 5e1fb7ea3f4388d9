package http1

import (
	"fmt"
	"net/http"
	"time"
)

// Page returns a short response of Holdfast's own. It reveals nothing about the app or the network. connection is the
// line of Connection, if one is needed.
func Page(status int, after time.Duration, connection string, body bool, fields ...byte) []byte {
	return PageOf(nil, "", status, after, connection, body, fields...)
}

// PageOf is Page with a text of a media type; an empty text stands for the short one.
func PageOf(text []byte, kind string, status int, after time.Duration, connection string, body bool, fields ...byte) []byte {
	if len(text) == 0 {
		kind = "text/html; charset=utf-8"
		text = fmt.Appendf(nil, "<!doctype html>\n<html><head><title>%d %[2]s</title></head>\n<body><h1>%[1]d %[2]s</h1></body></html>\n",
			status, http.StatusText(status))
	}
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %d\r\n",
		status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat), kind, len(text))
	if after > 0 { // whole seconds (RFC 9110 §10.2.3)
		b = fmt.Appendf(b, "Retry-After: %d\r\n", (after+time.Second-1)/time.Second)
	}
	b = append(b, fields...)
	if status == 405 && len(fields) == 0 {
		b = append(b, "Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n"...)
	}
	b = append(append(b, connection...), "\r\n"...)
	if body {
		b = append(b, text...)
	}
	return b
}

// TextPage returns a short response in plain text, after which the connection closes.
func TextPage(status int, text string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
		status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat), len(text)+1, text)
}
