package fieldset

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"holdfast/internal/http1"
)

func compile(t testing.TB, list ...Change) *Rules {
	t.Helper()
	r, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var all = []Change{
	{Name: "Strict-Transport-Security", Values: []string{"max-age=31536000"}},
	{Name: "x-powered-BY", How: Remove},
	{Name: "Link", How: Add, Values: []string{"</a>; rel=preload", "</b>; rel=preload"}},
	{Name: "Vary", How: Add, Values: []string{"Origin"}},
	{Name: "Cache-Control", How: Default, Values: []string{" no-cache "}},
	{Name: "Access-Control-Allow-Origin", Values: []string{"*"}},
}

func TestApply(t *testing.T) {
	r := compile(t, all...)
	for _, tt := range []struct{ head, want string }{
		{
			"HTTP/1.1 200 OK\r\nX-Powered-By: PHP\r\nX-POWERED-BY: ASP\r\nServer: a\r\nstrict-transport-security: max-age=0\r\nVary: Cookie\r\nLink: </c>\r\nCache-Control: private\r\n\r\n",
			"Server: a|Vary: Cookie|Link: </c>|Cache-Control: private|Strict-Transport-Security: max-age=31536000|Link: </a>; rel=preload|Link: </b>; rel=preload|Vary: Origin|Access-Control-Allow-Origin: *",
		},
		{
			"HTTP/1.1 404 Not Found\r\n\r\n",
			"Strict-Transport-Security: max-age=31536000|Link: </a>; rel=preload|Link: </b>; rel=preload|Vary: Origin|Cache-Control: no-cache|Access-Control-Allow-Origin: *",
		},
	} {
		var a http1.Answer
		if err := a.Parse([]byte(tt.head)); err != nil {
			t.Fatal(err)
		}
		r.Apply(&a)
		b := a.Append(nil)
		got := strings.ReplaceAll(strings.TrimSpace(string(b[bytes.IndexByte(b, '\n')+1:])), "\r\n", "|")
		if got != tt.want {
			t.Errorf("%q:\ngot  %s\nwant %s", tt.head, got, tt.want)
		}
		if b := r.Rewrite([]byte(tt.head + "the body\r\n\r\n")); string(b) != tt.head[:strings.Index(tt.head, "\n")+1]+strings.ReplaceAll(tt.want, "|", "\r\n")+"\r\n\r\nthe body\r\n\r\n" {
			t.Errorf("rewritten: %q", b)
		}
	}
	if got := string(r.Lines()); got != "Strict-Transport-Security: max-age=31536000\r\nLink: </a>; rel=preload\r\nLink: </b>; rel=preload\r\n" {
		t.Errorf("lines %q", got)
	}
	var none *Rules
	none.Apply(nil)
	if none.Lines() != nil || string(none.Rewrite([]byte("x"))) != "x" {
		t.Error("no rules change something")
	}
	if r, err := New(nil); r != nil || err != nil {
		t.Error(r, err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		c    Change
		want string
	}{
		{Change{Name: "", Values: []string{"x"}}, "is empty"},
		{Change{Name: "a b", Values: []string{"x"}}, "no name"},
		{Change{Name: "a:", Values: []string{"x"}}, "no name"},
		{Change{Name: "a\r\nb", How: Remove}, "no name"},
		{Change{Name: "ä", Values: []string{"x"}}, "no name"},
		{Change{Name: "Transfer-Encoding", How: Remove}, "Holdfast itself"},
		{Change{Name: "CONTENT-length", Values: []string{"5"}}, "Holdfast itself"},
		{Change{Name: "Connection", Values: []string{"close"}}, "Holdfast itself"},
		{Change{Name: "Content-Type", Values: []string{"text/html"}}, "see types"},
		{Change{Name: "X-Accel-Redirect", Values: []string{"/a"}}, "controls the proxy"},
		{Change{Name: "Vary", Values: []string{"x"}}, "want {add"},
		{Change{Name: "set-cookie", How: Remove}, "want {add"},
		{Change{Name: "A"}, "has no value"},
		{Change{Name: "A", Values: []string{"x\r\nB: y"}}, "control character"},
		{Change{Name: "A", Values: []string{"x\x00"}}, "control character"},
		{Change{Name: "A", Values: []string{"x", " "}}, "empty value"},
	} {
		_, err := New([]Change{tt.c})
		if !errors.Is(err, ErrChange) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v; want %q", tt.c, err, tt.want)
		}
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	r := compile(t, all...)
	head := []byte("HTTP/1.1 200 OK\r\nX-Powered-By: PHP\r\nServer: a\r\nVary: Cookie\r\nContent-Length: 5\r\n\r\n")
	var a http1.Answer
	step := func() {
		if a.Parse(head) != nil {
			t.Fatal("not parsed")
		}
		r.Apply(&a)
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFields: whatever a change says, a response has one head and the same body.
func FuzzFields(f *testing.F) {
	f.Add("X-A", "b", uint8(0), "X-A: c\r\nContent-Length: 2\r\n")
	f.Add("Link", "a\tb", uint8(1), "")
	f.Fuzz(func(t *testing.T, name, value string, how uint8, fields string) {
		c := Change{Name: name, How: How(how % 4)}
		if c.How != Remove {
			c.Values = []string{value}
		}
		r, err := New([]Change{c})
		response := []byte("HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 4\r\n\r\nbody")
		var a, b http1.Answer
		if err != nil || strings.Contains(fields, "\r\n\r\n") || strings.HasPrefix(fields, "\r\n") || a.Parse(response[:len(response)-4]) != nil || a.Odd != 0 {
			return
		}
		got := r.Rewrite(response)
		head, body, _ := bytes.Cut(got, []byte("\r\n\r\n"))
		if string(body) != "body" {
			t.Fatalf("body %q", body)
		}
		if err := b.Parse(append(head, "\r\n\r\n"...)); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		if b.Length != a.Length || b.Chunked != a.Chunked || b.Close != a.Close {
			t.Errorf("%q: the framing has changed", got)
		}
	})
}
