package cache

import (
	"strings"
	"testing"
	"time"

	"holdfast/internal/http1"
)

// start is when tests begin: in the middle of a second, and without a monotonic clock.
var start = time.Date(2026, 11, 29, 12, 0, 0, 5e8, time.UTC)

// fieldsOf parses lines of fields.
func fieldsOf(t testing.TB, lines string) (list []http1.Field) {
	t.Helper()
	for line := range strings.SplitSeq(lines, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f, fault := http1.ParseField([]byte(line))
		if fault != "" {
			t.Fatalf("%s: %s", line, fault)
		}
		list = append(list, f)
	}
	return list
}

// requestOf returns a GET, or another method, with a target and fields.
func requestOf(t testing.TB, line, fields string) *Request {
	t.Helper()
	method, target, ok := strings.Cut(line, " ")
	if !ok {
		method, target = "GET", line
	}
	path, _, _ := strings.Cut(target, "?")
	return &Request{
		Method: []byte(method), Target: []byte(target), Path: []byte(path), Host: []byte("www.example.com"),
		Fields: fieldsOf(t, fields),
	}
}

// placeOf returns the place of a request that is nobody's.
func placeOf(q *Request) *Place { return NewHasher().NewPlace("rule", "", q, nil, nil) }

// responseOf returns a response with a status.
func responseOf(t testing.TB, status int, fields string) Response {
	t.Helper()
	return Response{Status: status, Fields: fieldsOf(t, fields)}
}

// dated returns the start's time, moved by d, as a header has it.
func dated(d time.Duration) string { return start.Add(d).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
