package site

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/http1"
)

// Answer is the response to a request. The caller adds the status line, Date and the fields for the connection.
type Answer struct {
	Script *Script // run this instead; nothing else is set then

	Status int
	Reason string // for the log, if the site's rules refuse a file that exists; it names the key to set
	Head   []byte // field lines with their CRLF, to be appended to the head

	// File has the body: Length bytes from Offset. The caller closes it, and cuts the connection if it
	// turns out to be shorter. Without it there is no body for 200, 206 and 304; for any other status
	// the caller puts a page of its own.
	File           *os.File
	Offset, Length int64
}

// attempts at a file that is replaced each time between finding and opening it.
const attempts = 5

// Serve answers a request. It may block in the file system. The error is one of the system, such as
// ErrRoot or too many open files.
func (s *Site) Serve(r *Request) (a Answer, err error) {
	for range attempts {
		if a, err = s.serve(r); !errors.Is(err, errChanged) {
			break
		}
	}
	return a, err
}

func (s *Site) serve(r *Request) (Answer, error) {
	t, err := s.resolve(r)
	switch {
	case err != nil:
		return Answer{}, err
	case t.script != nil:
		t.script.Name = strings.TrimRight(r.Base, "/") + t.script.Name
		if r.rewrites && !t.script.HasQuery {
			t.script.Query, t.script.HasQuery = r.Query, true
		}
		return Answer{Script: t.script}, nil
	case t.redirect != nil:
		return redirect(r, t.redirect), nil
	case t.status != 0:
		return Answer{Status: t.status, Reason: t.reason}, nil
	}
	defer t.file.close()
	if r.Method != "GET" && r.Method != "HEAD" {
		return Answer{Status: 405, Head: []byte("Allow: GET, HEAD\r\n")}, nil
	}
	kind, coding := s.contentType(t.file.asked), http1.Identity
	f, info, err := t.file.open()
	if errors.Is(err, os.ErrPermission) {
		return Answer{Status: 403, Reason: "the system does not permit reading it: see the owner and mode of the file"}, nil
	}
	if err != nil {
		return Answer{}, fmt.Errorf("site: open: %w", err)
	}
	if r.Precompressed != nil {
		if other, its, c := s.precompressed(t.file, r.Precompressed(kind)); other != nil {
			f.Close()
			f, info, coding = other, its, c
		}
	}
	now := time.Now()
	a := static(r, info, kind, coding, now)
	a.Head = s.appendLifetime(a.Head, a.Status, now)
	if a.Length == 0 || r.Method == "HEAD" {
		f.Close()
	} else {
		a.File = f
	}
	return a, nil
}

// appendLifetime appends how long a response with a file may be used.
func (s *Site) appendLifetime(b []byte, status int, now time.Time) []byte {
	switch {
	case s.maxAge == 0 || status != 200 && status != 206 && status != 304:
		return b
	case s.maxAge < 0:
		return append(b, "Cache-Control: no-cache\r\n"...)
	}
	b = strconv.AppendInt(append(b, "Cache-Control: max-age="...), int64(s.maxAge/time.Second), 10)
	b = now.Add(s.maxAge).UTC().AppendFormat(append(b, "\r\nExpires: "...), httpDate)
	return append(b, "\r\n"...)
}

// redirect adds the slash to a folder's path. The method is kept if it is one that a browser would
// change.
func redirect(r *Request, elements []string) Answer {
	a := Answer{Status: 301}
	if r.Method != "GET" && r.Method != "HEAD" {
		a.Status = 308
	}
	if base := strings.Trim(r.Base, "/"); base != "" {
		elements = append(strings.Split(base, "/"), elements...)
	}
	a.Head = append(append(append(a.Head, "Location: "...), encode(elements)...), '/')
	if r.Query != "" {
		for i := range len(r.Query) {
			if c := r.Query[i]; c <= ' ' || c >= 0x7f {
				return Answer{Status: 400}
			}
		}
		a.Head = append(append(a.Head, '?'), r.Query...)
	}
	a.Head = append(a.Head, "\r\n"...)
	return a
}

// endings are those of files that are compressed already.
var endings = [...]string{http1.Gzip: ".gz", http1.Brotli: ".br", http1.Zstd: ".zst"}

// precompressed opens the neighbour of a file that is the same in the first of some codings; nil: there is none. Which of the
// two is newer does not count, as with nginx's gzip_static: tools that copy trees give times of their own.
func (s *Site) precompressed(p *resolvedPath, codings []http1.Coding) (f *os.File, info os.FileInfo, coding http1.Coding) {
	if p.outside != "" {
		return nil, nil, http1.Identity
	}
	for _, c := range codings {
		elements := slices.Clone(p.elements)
		elements[len(elements)-1] += endings[c]
		other, err := s.locate(elements)
		if err != nil || other == nil {
			continue
		}
		if !other.isFolder() && other.info.Mode().IsRegular() && mayOpen(other.elements) {
			f, info, err = other.open()
		}
		if other.close(); err == nil && f != nil {
			return f, info, c
		}
	}
	return nil, nil, http1.Identity
}

// static answers GET or HEAD for a file of a media type, which is in a coding.
func static(r *Request, info os.FileInfo, kind string, coding http1.Coding, now time.Time) Answer {
	size := info.Size()
	tag := fmt.Sprintf(`"%x-%x%s"`, info.ModTime().UnixNano(), size, strings.Replace(endings[coding], ".", "-", 1))
	modified := info.ModTime().Truncate(time.Second)
	if modified.After(now) || modified.Unix() <= 0 {
		modified = time.Time{} // RFC 9110 §8.8.2.1: no date from the future
	}
	b := make([]byte, 0, 256)
	b = append(append(append(b, "ETag: "...), tag...), "\r\n"...)
	if !modified.IsZero() {
		b = append(modified.UTC().AppendFormat(append(b, "Last-Modified: "...), httpDate), "\r\n"...)
	}
	if coding != http1.Identity {
		b = append(b, "Vary: Accept-Encoding\r\n"...)
	}
	switch r.condition(tag, modified) {
	case 304:
		return Answer{Status: 304, Head: b}
	case 412:
		return Answer{Status: 412}
	}
	a := Answer{Status: 200, Length: size}
	if r.ranges.n == 1 && r.Method == "GET" && r.inRange(tag, modified) {
		switch part, kind := parseRange(r.ranges.value, size); kind {
		case oneRange:
			a.Status, a.Offset, a.Length = 206, part.offset, part.length
			b = append(b, "Content-Range: bytes "...)
			b = strconv.AppendInt(b, part.offset, 10)
			b = append(b, '-')
			b = strconv.AppendInt(b, part.offset+part.length-1, 10)
			b = append(b, '/')
			b = append(strconv.AppendInt(b, size, 10), "\r\n"...)
		case unsatisfiable:
			return Answer{Status: 416, Head: append(strconv.AppendInt([]byte("Content-Range: bytes */"), size, 10), "\r\n"...)}
		}
	}
	if coding != http1.Identity {
		b = append(append(append(b, "Content-Encoding: "...), coding.String()...), "\r\n"...)
	}
	b = append(b, "Accept-Ranges: bytes\r\nContent-Type: "...)
	b = append(append(b, kind...), "\r\n"...)
	if kind == unknownType {
		b = append(b, "X-Content-Type-Options: nosniff\r\n"...)
	}
	b = strconv.AppendInt(append(b, "Content-Length: "...), a.Length, 10)
	a.Head = append(b, "\r\n"...)
	return a
}
