package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// ErrResponse is what a server sent that is no HTTP/1.1 response.
var ErrResponse = errors.New("load: malformed response")

const maxHead = 16 << 10 // bytes

// Response reads one response at a time from a stream. The zero value is ready for the first.
type Response struct {
	Status int
	Body   int64 // bytes of the body so far
	Close  bool  // the server will close the connection
	Stream bool  // neither length nor chunks: the body ends with the connection

	head    []byte // the head so far, if it came in pieces
	headEnd bool
	left    int64 // bytes of the body, or of this chunk, to come; -1: in a chunk's size line
	chunked bool
	last    bool // the chunk of size 0 was seen
	line    []byte
}

// Header returns the value of a field of the head, nil if it is not there. Valid until the next response.
func (r *Response) Header(name string) []byte { return field(r.head, name) }

// HeadDone reports whether the head is complete.
func (r *Response) HeadDone() bool { return r.headEnd }

// Reset makes r ready for the next response; Feed does it itself after a whole one.
func (r *Response) Reset() {
	*r = Response{head: r.head[:0], line: r.line[:0]}
}

// Feed takes bytes of the stream: how many belonged to this response, whether it is complete, and the part
// of data that is body (only the last piece of a chunked one). A response that ends with the connection is never
// complete.
func (r *Response) Feed(data []byte) (used int, done bool, err error) {
	if !r.headEnd {
		used, err = r.feedHead(data)
		if err != nil || !r.headEnd {
			return used, false, err
		}
		if r.complete() {
			return used, true, nil
		}
	}
	for used < len(data) {
		n, err := r.feedBody(data[used:])
		used += n
		if err != nil {
			return used, false, err
		}
		if r.complete() {
			return used, true, nil
		}
	}
	return used, false, nil
}

func (r *Response) complete() bool {
	return r.headEnd && !r.Stream && (r.chunked && r.last && r.left == 0 || !r.chunked && r.left == 0)
}

func (r *Response) feedHead(data []byte) (int, error) {
	before := len(r.head)
	r.head = append(r.head, data[:min(len(data), maxHead)]...)
	end := bytes.Index(r.head[max(0, before-3):], []byte("\r\n\r\n"))
	if end < 0 {
		if len(r.head) > maxHead {
			return 0, fmt.Errorf("%w: head over %d bytes", ErrResponse, maxHead)
		}
		return len(data), nil
	}
	end += max(0, before-3) + 4
	r.head = r.head[:end]
	r.headEnd = true
	return end - before, r.parse()
}

func (r *Response) parse() error {
	h := r.head
	if len(h) < 13 || string(h[:7]) != "HTTP/1." {
		return fmt.Errorf("%w: %.20q", ErrResponse, h)
	}
	status, err := strconv.Atoi(string(h[9:12]))
	if err != nil {
		return fmt.Errorf("%w: %.20q", ErrResponse, h)
	}
	r.Status = status
	r.Close = bytes.EqualFold(field(h, "Connection"), []byte("close"))
	if status == 204 || status == 304 || status < 200 {
		return nil
	}
	if v := field(h, "Content-Length"); v != nil {
		r.left, err = strconv.ParseInt(string(v), 10, 64)
		if err != nil || r.left < 0 {
			return fmt.Errorf("%w: Content-Length %q", ErrResponse, v)
		}
		return nil
	}
	if bytes.EqualFold(field(h, "Transfer-Encoding"), []byte("chunked")) {
		r.chunked, r.left = true, -1
		return nil
	}
	r.Stream = true
	return nil
}

func (r *Response) feedBody(data []byte) (int, error) {
	if r.Stream {
		r.Body += int64(len(data))
		return len(data), nil
	}
	if r.left > 0 {
		n := int(min(r.left, int64(len(data))))
		r.left -= int64(n)
		if !r.chunked {
			r.Body += int64(n)
			return n, nil
		}
		if r.left == 0 && !r.last { // the chunk with its line end is over
			r.left = -1
		}
		return n, nil
	}
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		r.line = append(r.line, data...)
		if len(r.line) > 64 {
			return len(data), fmt.Errorf("%w: chunk size", ErrResponse)
		}
		return len(data), nil
	}
	r.line = append(r.line, data[:end]...)
	size, _, _ := bytes.Cut(bytes.TrimRight(r.line, "\r"), []byte(";"))
	n, err := strconv.ParseInt(string(size), 16, 63)
	if err != nil {
		return end + 1, fmt.Errorf("%w: chunk size %q", ErrResponse, r.line)
	}
	r.line = r.line[:0]
	r.Body += n
	r.left = n + 2 // and the line end; after the last chunk, the empty trailer's
	r.last = n == 0
	return end + 1, nil
}

// field returns the trimmed value of the first field of that name.
func field(head []byte, name string) []byte {
	for rest := head; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return nil
		}
		rest = rest[i+1:]
		if len(rest) > len(name) && rest[len(name)] == ':' && bytes.EqualFold(rest[:len(name)], []byte(name)) {
			value := rest[len(name)+1:]
			if end := bytes.IndexByte(value, '\n'); end >= 0 {
				value = value[:end]
			}
			return bytes.TrimSpace(value)
		}
	}
}
