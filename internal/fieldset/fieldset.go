// Package fieldset changes the header fields of responses as the configuration says: it sets, adds and removes some.
package fieldset

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/http1"
)

// How says what becomes of the fields of a name that a response has already.
type How uint8

const (
	Set     How = iota // they are replaced
	Add                // they stay
	Default            // they stay, and nothing is added then
	Remove
)

// Change is what is done with the fields of one name.
type Change struct {
	Name   string
	How    How
	Values []string // a line each; none for Remove
}

// Rules are changes, compiled. Nil Rules change nothing; nothing changes them, so any goroutine may use them.
type Rules struct {
	list  []rule
	lines []byte
}

type rule struct {
	name   string
	how    How
	fields []http1.Field
}

// ErrChange is what all errors of Check are.
var ErrChange = errors.New("bad header")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrChange }

// fixed are fields that say how a response is sent, or what its bytes are, which Holdfast itself has to know.
var fixed = map[string]string{
	"connection": "", "keep-alive": "", "proxy-connection": "", "te": "", "trailer": "", "transfer-encoding": "", "upgrade": "",
	"content-length": "", "content-encoding": "", "content-range": "", "date": "", "status": "",
	"content-type": "; see types for the media types of files",
}

// lists are fields of which a response needs its own values as well.
var lists = []string{"vary", "set-cookie"}

// Check returns what is wrong with a change.
func Check(c *Change) error {
	name := strings.ToLower(c.Name)
	for i := range len(c.Name) {
		if !http1.IsToken[c.Name[i]] {
			return problem("is no name of a header")
		}
	}
	hint, isFixed := fixed[name]
	switch {
	case name == "":
		return problem("is empty")
	case isFixed:
		return problem("is a header that Holdfast itself has to write" + hint)
	case strings.HasPrefix(name, "x-accel-"):
		return problem("is a header by which an app controls the proxy")
	case c.How != Add && slices.Contains(lists, name):
		return problem("is a list that a response needs its own values in; want {add: VALUE}")
	case c.How != Remove && len(c.Values) == 0:
		return problem("has no value; want text, or null to remove the header")
	}
	for _, v := range c.Values {
		for i := range len(v) {
			if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
				return problem("has a control character, such as a line break, in its value")
			}
		}
		if strings.TrimSpace(v) == "" {
			return problem("has an empty value; want text, or null to remove the header")
		}
	}
	return nil
}

// New compiles changes. It is nil if there are none.
func New(list []Change) (*Rules, error) {
	if len(list) == 0 {
		return nil, nil
	}
	r := new(Rules)
	for i := range list {
		c := &list[i]
		if err := Check(c); err != nil {
			return nil, fmt.Errorf("%q %w", c.Name, err)
		}
		x := rule{name: strings.ToLower(c.Name), how: c.How}
		for _, v := range c.Values {
			v = strings.Trim(v, " \t")
			x.fields = append(x.fields, http1.Field{Name: []byte(c.Name), Value: []byte(v)})
			if !isOfPages(x.name) {
				r.lines = http1.AppendField(r.lines, []byte(c.Name), []byte(v))
			}
		}
		r.list = append(r.list, x)
	}
	return r, nil
}

// ofPushed are fields that responses of the push path have themselves, or that are for pages: none of them is among Lines.
var ofPushed = []string{"cache-control", "expires", "vary", "etag", "last-modified", "location", "retry-after", "allow", "www-authenticate", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"}

func isOfPages(name string) bool {
	return slices.Contains(ofPushed, name) || strings.HasPrefix(name, "access-control-")
}

// Lines are the lines that a response of the push path has besides its own: all that are set or added, but those by which that
// path says who may read its responses, and for how long they are good.
func (r *Rules) Lines() []byte {
	if r == nil {
		return nil
	}
	return r.lines
}

// Apply changes the head of a response. It does not allocate, unless the list of its fields has to grow.
func (r *Rules) Apply(a *http1.Answer) {
	if r == nil {
		return
	}
	for i := range r.list {
		switch x := &r.list[i]; {
		case x.how == Default && a.Has(x.name):
		case x.how == Set || x.how == Remove:
			a.Drop(x.name)
			fallthrough
		default:
			a.Fields = append(a.Fields, x.fields...)
		}
	}
}

// Rewrite returns a rendered head, or response, with its head changed. A head ends without the empty line.
func (r *Rules) Rewrite(b []byte) []byte {
	if r == nil {
		return b
	}
	line, end := bytes.IndexByte(b, '\n')+1, bytes.Index(b, []byte("\r\n\r\n"))+2
	if end < 2 {
		end = len(b)
	}
	var a http1.Answer
	a.Set(200, b[line:end])
	r.Apply(&a)
	to := append(make([]byte, 0, len(b)+256), b[:line]...)
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop {
			to = http1.AppendField(to, f.Name, f.Value)
		}
	}
	return append(to, b[end:]...)
}
