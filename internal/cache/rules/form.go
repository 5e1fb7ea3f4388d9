package rules

import (
	"bytes"
	"fmt"
	"strings"

	"holdfast/internal/cache"
	"holdfast/internal/cookie"
	"holdfast/internal/http1"
)

// Bodies that are forms, in application/x-www-form-urlencoded. Apps read the names of fields in their own ways, and none is
// read here as another than the app may see: a body that is not plain counts whole, or is none that a rule is about.

// formField is a field of a form, decoded.
type formField struct{ name, value string }

// parseForm reads Form.
func (r *Rule) parseForm() error {
	for _, text := range r.Form {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q: want NAME=VALUE, such as action=heartbeat", text)
		}
		r.fields = append(r.fields, formField{name, value})
	}
	return nil
}

// isForm reports whether a request says that its body is a form, in bytes that mean the same to every app.
func isForm(q *cache.Request) bool {
	kind, n := q.Field("content-type")
	if _, coded := q.Field("content-encoding"); n != 1 || coded > 0 {
		return false
	}
	media, more, _ := bytes.Cut(kind, []byte(";"))
	more = http1.TrimOWS(more)
	return http1.EqualFold(http1.TrimOWS(media), "application/x-www-form-urlencoded") &&
		(len(more) == 0 || http1.EqualFold(more, "charset=utf-8"))
}

// nextField returns the first field of a form, and what follows it.
func nextField(form []byte) (field, rest []byte) {
	field, rest, _ = bytes.Cut(form, []byte("&"))
	return field, rest
}

// isPlainForm reports whether a form has fields that some app would separate elsewhere.
func isPlainForm(form []byte) bool { return bytes.IndexByte(form, ';') < 0 }

// hasForm reports whether a body, a form, has each of the fields that the rule is about, with its value, and nothing that an
// app could take for another value of it.
func (r *Rule) hasForm(body []byte) bool {
	if len(r.fields) > 0 && !isPlainForm(body) {
		return false
	}
	for _, f := range r.fields {
		n, found := 0, false
		for rest := body; len(rest) > 0; {
			var field []byte
			field, rest = nextField(rest)
			key, v, _ := bytes.Cut(field, []byte("="))
			if key = decoded(key); mayBeField(key, f.name) {
				n++
				found = string(key) == f.name && string(decoded(v)) == f.value
			}
		}
		if n != 1 || !found {
			return false
		}
	}
	return true
}

// mayBeField reports whether an app may read a field's name, decoded, as the wanted one. PHP leaves out spaces in front and
// what follows a zero byte, and has a[x] in a. Others do not tell letters of both cases apart.
func mayBeField(key []byte, name string) bool {
	key, _, _ = bytes.Cut(bytes.TrimLeft(key, " "), []byte{0})
	if len(key) < len(name) || !cookie.MayBe(name, key[:len(name)]) {
		return false
	}
	return len(key) == len(name) || key[len(name)] == '[' || key[len(name)] == ' '
}

// appendBody adds the body, but for the fields that the key is without.
func (r *Rule) appendBody(b []byte, q *cache.Request) []byte {
	if !r.skips || !isForm(q) || !isPlainForm(q.Body) {
		return cache.AppendPart(b, 'b', q.Body)
	}
	b = append(b, 'F')
	for rest := q.Body; len(rest) > 0; {
		var field []byte
		field, rest = nextField(rest)
		key, _, _ := bytes.Cut(field, []byte("="))
		if !r.skipsField(decoded(key)) {
			b = cache.AppendPart(b, 'v', field)
		}
	}
	return b
}

func (r *Rule) skipsField(key []byte) bool {
	for i := range r.parts {
		if p := &r.parts[i]; p.kind == 'b' && p.name == string(key) {
			return true
		}
	}
	return false
}
