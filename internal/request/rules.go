package request

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/http1"
)

// Change is what is done with the fields of one name in requests to the app.
type Change struct {
	Name   string
	Value  string // text with $user, $client, $host, $scheme and $$; a field without a value is not sent
	Remove bool
}

// Rules are changes, compiled. Nil Rules change nothing; nothing changes them, so any goroutine may use them.
type Rules struct{ list []rule }

// rule replaces the client's fields of a name by one of its own, or by none.
type rule struct {
	name  string
	parts []part // none: the fields are removed
}

// part is plain text, or a variable.
type part struct {
	text string
	what variable
}

type variable uint8

const (
	plain variable = iota
	user
	client
	host
	scheme
)

var variables = map[string]variable{"user": user, "client": client, "host": host, "scheme": scheme}

// foreign are variables of nginx, and what says the same here.
var foreign = map[string]string{
	"remote_user": "$user", "remote_addr": "$client", "http_host": "$host", "proxy_host": "upstream_host",
	"proxy_add_x_forwarded_for": "nothing, as X-Forwarded-For is always sent",
}

// ErrChange is what all errors of CheckChange are.
var ErrChange = errors.New("bad header of requests")

type problem string

func (p problem) Error() string        { return string(p) }
func (p problem) Is(target error) bool { return target == ErrChange }

// fixed are fields that Holdfast itself has to write or to know, with a hint.
var fixed = map[string]string{
	"connection": "", "keep-alive": "", "proxy-connection": "", "te": "", "trailer": "", "transfer-encoding": "", "upgrade": "", "http2-settings": "",
	"content-length": "", "content-encoding": "", "content-type": "", "expect": "", "range": "", "destination": "",
	"host": "; see upstream_host",
}

// CheckChange returns what is wrong with a change. It does not show the value, which may be a secret.
func CheckChange(c *Change) error {
	name := strings.ToLower(c.Name)
	hint, isFixed := fixed[name]
	switch {
	case name == "":
		return problem("is empty")
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return problem("has other characters than letters, digits and dashes: PHP and CGI read them as another name")
	case isFixed, strings.HasPrefix(name, "sec-websocket-"), strings.HasPrefix(name, "if-"):
		return problem("is a header that Holdfast itself has to write or to know" + hint)
	case slices.Contains(http1.ForwardingNames[:], name):
		return problem("is a header in which Holdfast says who the client is; see trusted_proxies and external")
	case name == "proxy":
		return problem("is a header that scripts take for the proxy of their own requests (httpoxy)")
	case c.Remove:
		return nil
	case name == "accept-encoding":
		return problem("can only be removed (null): Holdfast has to know what the app may send")
	case strings.TrimSpace(c.Value) == "":
		return problem("has no value; want text, or null to remove the header")
	case name == "authorization" && http1.LogsInConnection([]byte(c.Value)):
		return problem("has a login for a whole connection, which requests of several clients share")
	}
	for i := range len(c.Value) {
		if b := c.Value[i]; b < ' ' && b != '\t' || b == 0x7f {
			return problem("has a control character, such as a line break, in its value")
		}
	}
	_, err := parse(c.Value)
	return err
}

// parse splits a value into text and variables.
func parse(value string) (parts []part, err error) {
	value = strings.Trim(value, " \t")
	for value != "" {
		before, rest, found := strings.Cut(value, "$")
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !found {
			break
		}
		if strings.HasPrefix(rest, "$") {
			parts, value = append(parts, part{text: "$"}), rest[1:]
			continue
		}
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz_"))]
		value = rest[len(name):]
		if inside, ok := strings.CutPrefix(rest, "{"); ok {
			if name, value, ok = strings.Cut(inside, "}"); !ok {
				return nil, problem("has a ${ without its }")
			}
		}
		v, ok := variables[name]
		if here := foreign[name]; !ok && here != "" {
			return nil, problem(fmt.Sprintf("has $%s; want %s", name, here))
		}
		if !ok {
			return nil, problem("has a $ that begins no variable; want $user, $client, $host or $scheme, or $$ for a dollar sign")
		}
		parts = append(parts, part{what: v})
	}
	return parts, nil
}

// NewRules compiles changes. It is nil if there are none.
func NewRules(list []Change) (*Rules, error) {
	if len(list) == 0 {
		return nil, nil
	}
	r := new(Rules)
	for i := range list {
		c := &list[i]
		if err := CheckChange(c); err != nil {
			return nil, fmt.Errorf("%q %w", c.Name, err)
		}
		x := rule{name: c.Name}
		if !c.Remove {
			x.parts, _ = parse(c.Value) // which has been checked
		}
		r.list = append(r.list, x)
	}
	return r, nil
}

// replaces reports whether the client's fields of a name are not sent.
func (r *Rules) replaces(name []byte) bool {
	if r == nil {
		return false
	}
	for i := range r.list {
		if http1.EqualFold(name, r.list[i].name) {
			return true
		}
	}
	return false
}

// append appends the lines of the rules' own fields.
func (r *Rules) append(b []byte, q *Request, login string) []byte {
	if r == nil {
		return b
	}
	for i := range r.list {
		x := &r.list[i]
		if len(x.parts) == 0 {
			continue
		}
		start := len(b)
		b = append(append(b, x.name...), ": "...)
		value := len(b)
		for j := range x.parts {
			b = x.parts[j].append(b, q, login)
		}
		if len(bytes.TrimSpace(b[value:])) == 0 {
			b = b[:start]
			continue
		}
		b = append(b, "\r\n"...)
	}
	return b
}

func (p *part) append(b []byte, q *Request, login string) []byte {
	switch p.what {
	case user:
		return append(b, login...)
	case client:
		if a := q.Client.Addr(); a.IsValid() {
			return a.AppendTo(b)
		}
		return b
	case host:
		return append(b, q.Host...)
	case scheme:
		return append(b, q.Scheme()...)
	}
	return append(b, p.text...)
}
