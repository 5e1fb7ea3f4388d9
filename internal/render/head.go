package render

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"holdfast/internal/http1"
	"holdfast/internal/jsontext"
)

// StreamHead returns the head of a response that is a stream. It ends with the connection: no chunk around each message.
// Fields are further lines, each with its CRLF.
func StreamHead(mediaType, fields string) []byte {
	b := http1.AppendDate([]byte("HTTP/1.1 200 OK\r\n"), time.Now())
	return fmt.Appendf(b, "Content-Type: %s\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\nConnection: close\r\n%s\r\n",
		mediaType, fields)
}

// Refusal returns a whole response that says why there is none else, in its head and its body. Fields are further lines
// of the head, each with its CRLF.
func Refusal(status int, why, fields string) (head, body []byte) {
	body = Error(why, "")
	head = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, fasthttp.StatusMessage(status))
	head = http1.AppendDate(head, time.Now())
	head = fmt.Appendf(head, "Content-Type: application/json\r\nCache-Control: no-store\r\n%sContent-Length: %d\r\n\r\n", fields, len(body))
	return head, body
}

// Error returns the body of a response that refuses something: why and, unless it is empty, a hint.
func Error(why, hint string) []byte {
	b := jsontext.AppendString([]byte(`{"error":`), why)
	if hint != "" {
		b = jsontext.AppendString(append(b, `,"hint":`...), hint)
	}
	return append(b, "}\n"...)
}
