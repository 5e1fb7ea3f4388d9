package fcgi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"testing"
)

// show prints a head, the fields that are passed on only.
func show(h *Head) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d [%s]", h.Status, h.Line)
	for _, f := range h.Fields {
		if !f.Drop {
			fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
		}
	}
	if h.Length >= 0 {
		fmt.Fprintf(&b, " length %d", h.Length)
	}
	if h.Local != nil {
		fmt.Fprintf(&b, " local %s", h.Local)
	}
	for i, name := range []string{"bare LF", "no colon", "equal lengths", "empty length", "equal Locations", "framing", "no head", "", "", "", "", "odd name", "status line", "equal Dates"} {
		if h.Odd&(1<<i) != 0 {
			fmt.Fprintf(&b, " (%s)", name)
		}
	}
	return b.String()
}

// parseHead looks for a head in sent, which comes in pieces of n bytes.
func parseHead(sent string, n int) (h Head, size int, err error) {
	var p []byte
	seen := 0
	for i := 0; i < len(sent); i += n {
		p = append(p, sent[i:min(i+n, len(sent))]...)
		if size, err = HeadEnd(p, seen); size > 0 || err != nil {
			break
		}
		seen = len(p)
	}
	if size > 0 && err == nil {
		err = h.Parse(p[:size])
	}
	return h, size, err
}

func TestHead(t *testing.T) {
	tests := []struct{ name, sent, want, rest string }{
		{"php-fpm", "X-Powered-By: PHP\r\nContent-type: text/html; charset=UTF-8\r\n\r\nbody",
			"200 [200 OK] X-Powered-By=PHP Content-type=text/html; charset=UTF-8", "body"},
		{"bare LF", "A: 1\nB: 2\n\n\n\n", "200 [200 OK] A=1 B=2", "\n\n"},
		{"mixed ends", "A: 1\r\nB: 2\n\r\nx", "200 [200 OK] A=1 B=2", "x"},
		{"mixed ends the other way", "A: 1\nB: 2\r\n\nx", "200 [200 OK] A=1 B=2", "x"},
		{"Status", "Status: 404 Not Found\r\nA: 1\r\n\r\n", "404 [404 Not Found] A=1", ""},
		{"Status without a reason", "A: 1\r\nstatus:404\r\n\r\n", "404 [404 ] A=1", ""},
		{"Status of another year", "Status: 799 \xc3\xa9\r\n\r\n", "799 [799 \xc3\xa9]", ""},
		{"Location", "Location: http://a/b\r\n\r\n", "302 [302 Found] Location=http://a/b", ""},
		{"Location and Status", "Status: 301 Moved\r\nLocation: /b\r\n\r\n", "301 [301 Moved] Location=/b", ""},
		{"Status after Location", "Location: /b\r\nStatus: 201 Created\r\n\r\n", "201 [201 Created] Location=/b", ""},
		{"local redirect", "Location: /b?c\r\n\r\n", "302 [302 Found] Location=/b?c local /b?c", ""},
		{"another host is not local", "Location: //evil/b\r\n\r\n", "302 [302 Found] Location=//evil/b", ""},
		{"nor is this", "Location: /\\evil/b\r\n\r\n", "302 [302 Found] Location=/\\evil/b", ""},
		{"relative", "Location: b\r\n\r\n", "302 [302 Found] Location=b", ""},
		{"empty Location", "Location:\r\n\r\n", "200 [200 OK] Location=", ""},
		{"length", "Content-Length: 12\r\n\r\n", "200 [200 OK] Content-Length=12 length 12", ""},
		{"hop by hop", "A: 1\r\nConnection: close\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nUpgrade: x\r\nTE: x\r\nTrailer: x\r\n\r\n", "200 [200 OK] A=1", ""},
		{"cookies stay apart", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n", "200 [200 OK] Set-Cookie=a=1 Set-Cookie=b=2", ""},
		{"white space and tabs", "A: \t 1\t2 \t\r\n\r\n", "200 [200 OK] A=1\t2", ""},
		{"empty value", "A:\r\n\r\n", "200 [200 OK] A=", ""},
		{"colons", "A:b:c\r\n\r\n", "200 [200 OK] A=b:c", ""},
		{"no field", "\r\nbody", "200 [200 OK] (no head)", "body"},
		{"no field, bare LF", "\nbody", "200 [200 OK] (no head)", "body"},
		{"no field but a Status", "Status: 404 Gone\r\n\r\n", "404 [404 Gone]", ""},
		{"two Dates", "Date: a\r\nA: 1\r\ndate: b\r\n\r\n", "200 [200 OK] Date=a A=1 (equal Dates)", ""},
		{"two Locations", "Location: /a\r\nLocation: /b\r\n\r\n", "302 [302 Found] Location=/a local /a (equal Locations)", ""},
		{"the same length twice", "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "200 [200 OK] Content-Length=1 length 1 (equal lengths)", ""},
		{"empty length", "A: b\r\nContent-Length:\r\n\r\n", "200 [200 OK] A=b (empty length)", ""},
		{"transfer coding", "A: b\r\nTransfer-Encoding: chunked\r\n\r\n", "200 [200 OK] A=b (framing)", ""},
		{"a line without a colon", "A: b\r\nPHP Notice\r\nC: d\r\n\r\n", "200 [200 OK] A=b C=d (no colon)", ""},
		{"a name in UTF-8", "A: b\r\n\xc3\xa9: c\r\nX(y): z\r\n\r\n", "200 [200 OK] A=b (odd name)", ""},
		{"a status line", "HTTP/1.1 404 Gone\r\nA: b\r\n\r\n", "404 [404 Gone] A=b (status line)", ""},
		{"a status line alone", "HTTP/1.0 200\n\nx", "200 [200 ] (status line)", "x"},
		{"the most fields", strings.Repeat("A: 1\n", maxFields) + "\n", "200 [200 OK]" + strings.Repeat(" A=1", maxFields), ""},
		{"the largest", "A: " + strings.Repeat("b", MaxHead-7) + "\r\n\r\n", "200 [200 OK] A=" + strings.Repeat("b", MaxHead-7), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, n := range []int{len(test.sent), 1, 3} {
				h, size, err := parseHead(test.sent, n)
				if err != nil {
					t.Fatal(err)
				}
				if got := show(&h); got != test.want {
					t.Errorf("%.300q, want %.300q", got, test.want)
				}
				if test.sent[size:] != test.rest {
					t.Errorf("the body begins with %q, want %q", test.sent[size:], test.rest)
				}
			}
		})
	}
}

func TestHeadsThatAreRefused(t *testing.T) {
	tests := []struct {
		name, sent string
		want       error
	}{
		{"no colon", "abc\r\n\r\n", ErrHead},
		{"no name", ": c\r\n\r\n", ErrHead},
		{"status line of another version", "HTTP/2 200 OK\r\nA: b\r\n\r\n", ErrHead},
		{"interim status line", "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n", ErrHead},
		{"status line and Status", "HTTP/1.1 200 OK\r\nStatus: 404\r\n\r\n", ErrHead},
		{"status line below a field", "A: b\r\nHTTP/1.1 200 OK: x\r\n\r\n", ErrHead},
		{"escape in a status line", "HTTP/1.1 200 \x1b[0m\r\n\r\n", ErrHead},
		{"space before the colon", "A : b\r\n\r\n", ErrHead},
		{"folded", "A: b\r\n c\r\n\r\n", ErrHead},
		{"CR in a value", "A: b\rc\r\n\r\n", ErrHead},
		{"CR at the end of a value", "A: b\r\r\n\r\n", ErrHead},
		{"NUL", "A: b\x00\r\n\r\n", ErrHead},
		{"DEL", "A: b\x7f\r\n\r\n", ErrHead},
		{"escape in Status", "Status: 200 \x1b[0m\r\n\r\n", ErrHead},
		{"control byte in a name", "A\x01: b\r\n\r\n", ErrHead},
		{"two Status", "Status: 200\r\nStatus: 200\r\n\r\n", ErrHead},
		{"Status 101", "Status: 101 Switching Protocols\r\n\r\n", ErrHead},
		{"Status 000", "Status: 000\r\n\r\n", ErrHead},
		{"Status of four digits", "Status: 2000\r\n\r\n", ErrHead},
		{"Status in words", "Status: OK\r\n\r\n", ErrHead},
		{"empty Status", "Status:\r\n\r\n", ErrHead},
		{"signed Status", "Status: +20\r\n\r\n", ErrHead},
		{"two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", ErrHead},
		{"folded without a colon", "A: b\r\n\tc\r\n\r\n", ErrHead},
		{"list of lengths", "Content-Length: 1, 1\r\n\r\n", ErrHead},
		{"signed length", "Content-Length: +1\r\n\r\n", ErrHead},
		{"long length", "Content-Length: 9999999999999999999\r\n\r\n", ErrHead},
		{"too many fields", strings.Repeat("A: 1\n", maxFields+1) + "\n", ErrHead},
		{"one byte too large", "A: " + strings.Repeat("b", MaxHead-6) + "\r\n\r\n", ErrHeadSize},
		{"no end", strings.Repeat("b", MaxHead+1), ErrHeadSize},
		{"no end in sight", strings.Repeat("a: b\n", MaxHead/5+2), ErrHeadSize},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, n := range []int{len(test.sent), 1, 1000} {
				if h, _, err := parseHead(test.sent, n); !errors.Is(err, test.want) {
					t.Errorf("in pieces of %d: %v, %s", n, err, show(&h))
				}
			}
		})
	}
	var h Head
	if err := h.Parse([]byte("A: b")); !errors.Is(err, ErrHead) {
		t.Errorf("unfinished: %v", err)
	}
}

// FuzzCGIHead checks that pieces do not matter, and that a head which is let through is one that Go's
// own reader understands the same, with nothing in it that could end a line or a field.
func FuzzCGIHead(f *testing.F) {
	for _, seed := range []string{
		"Content-type: text/html\r\n\r\nbody", "Status: 404 Not Found\nA: b\n\n", "Location: /x\r\n\r\n", "A: b\r\n c\r\n\r\n",
		"Content-Length: 3\r\n\r\nabc", "\r\n", "A:\r\n\n", "Set-Cookie: a\nSet-Cookie: b\n\r\n", "A: b\r\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, sent []byte, n uint8) {
		h, size, err := parseHead(string(sent), max(len(sent), 1))
		h2, size2, err2 := parseHead(string(sent), int(n)+1)
		if size != size2 || fmt.Sprint(err) != fmt.Sprint(err2) || err == nil && show(&h) != show(&h2) {
			t.Fatalf("at once %q %d %v, in pieces %q %d %v", show(&h), size, err, show(&h2), size2, err2)
		}
		if err != nil || size == 0 {
			return
		}
		if h.Status < 200 || h.Status > 999 || !strings.HasPrefix(string(h.Line), fmt.Sprint(h.Status)+" ") {
			t.Fatalf("status %d, line %q", h.Status, h.Line)
		}
		if h.Local != nil && (h.Local[0] != '/' || bytes.HasPrefix(h.Local, []byte("//"))) {
			t.Fatalf("local %q", h.Local)
		}
		if h.Odd != 0 { // Go's reader does not mend
			return
		}
		want, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(sent[:size]))).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%q was let through; Go says %v", sent[:size], err)
		}
		got := textproto.MIMEHeader{}
		for _, field := range h.Fields {
			if bytes.ContainsAny(field.Value, "\r\n\x00") {
				t.Fatalf("%q in %q", field.Value, field.Name)
			}
			got.Add(string(field.Name), string(field.Value))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q, Go reads %q", got, want)
		}
	})
}
