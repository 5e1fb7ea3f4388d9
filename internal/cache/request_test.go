package cache

import (
	"testing"

	"holdfast/internal/http1"
)

// TestClone: a copy says the same when the bytes of the request are used again.
func TestClone(t *testing.T) {
	text := []byte("POST /a/b?x=1 HTTP/1.1\r\nHost: www.example.com\r\nCookie: a=b\r\nConnection: X\r\nX: 1\r\nContent-Length: 3\r\n\r\n")
	var h http1.Head
	if r := h.Parse(text, http1.Limits{}); r != nil && r.Status != 431 {
		t.Fatal(r)
	} else if r != nil {
		if r = h.Parse(text, http1.Limits{Bytes: 1000, Fields: 10}); r != nil {
			t.Fatal(r)
		}
	}
	q := RequestOf(&h)
	c := q.Clone()
	for i := range text {
		text[i] = '#'
	}
	query, asked := c.Query()
	cookie, n := c.Field("cookie")
	if string(c.Method) != "POST" || string(c.Path) != "/a/b" || string(query) != "x=1" || !asked || string(c.Host) != "www.example.com" ||
		string(cookie) != "a=b" || n != 1 || !c.HasBody || c.Upgrade || c.IsHead() {
		t.Errorf("%s %s?%s of %s, %s", c.Method, c.Path, query, c.Host, cookie)
	}
	if _, n := c.Field("x"); n != 0 {
		t.Error("a field that is dropped is there")
	}
	if string(q.Method) == "POST" {
		t.Error("the request keeps its own bytes")
	}
}
