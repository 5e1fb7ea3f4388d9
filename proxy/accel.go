package proxy

import (
	"bytes"
	"errors"
	"fmt"

	"holdfast/internal/http1"
	"holdfast/internal/sendbuf"
)

// accelRedirect is what an exchange needs where apps send requests elsewhere.
type accelRedirect struct {
	head      []byte // the request's, as it came
	preserved *kept  // of the app's answer; nil without
	hops      int
}

// maxHops is how often a request is sent elsewhere.
const maxHops = 10

// keptNames are the fields of an app's answer that stay when another's body comes in its place, as with nginx.
var keptNames = [...]string{"content-type", "content-disposition", "set-cookie", "cache-control", "expires", "accept-ranges"}

// kept is what stays of the answer of an app that sent the request elsewhere by X-Accel-Redirect.
type kept struct {
	lines []byte // fields, each with its CRLF
	names uint8  // a bit for each of keptNames that is in lines
}

func (k *kept) add(f *http1.Field) {
	for i, name := range keptNames {
		if http1.EqualFold(f.Name, name) {
			k.lines, k.names = http1.AppendField(k.lines, f.Name, f.Value), k.names|1<<i
		}
	}
}

// has reports whether a field of this name stays, so that another's does not count. Cookies come on top.
func (k *kept) has(name []byte) bool {
	for i, n := range keptNames {
		if k.names&(1<<i) != 0 && http1.EqualFold(name, n) && n != "set-cookie" {
			return true
		}
	}
	return false
}

// override drops the fields of the answer that do not count.
func (k *kept) override(a *http1.Answer) {
	if k == nil {
		return
	}
	for i := range a.Fields {
		if k.has(a.Fields[i].Name) {
			a.Fields[i].Drop = true
		}
	}
}

// append adds what stays to a head.
func (k *kept) append(b []byte) []byte {
	if k == nil {
		return b
	}
	return append(b, k.lines...)
}

// appendWithout adds field lines, without those that do not count.
func (k *kept) appendWithout(b, lines []byte) []byte {
	if k == nil {
		return append(b, lines...)
	}
	for line := range bytes.Lines(lines) {
		if name, _, _ := bytes.Cut(line, []byte(":")); !k.has(name) {
			b = append(b, line...)
		}
	}
	return b
}

// elsewhere answers with what another route has for the path that the app named: an app decides who may have a file,
// and need not send it. bodyless says that the app's answer is complete. It reports false: nothing more is wanted
// of this upstream.
func (x *exchange) elsewhere(a *http1.Answer, bodyless bool) bool {
	if x.accel.hops++; x.accel.hops > maxHops {
		x.fail(502, errors.New("X-Accel-Redirect goes round in circles"))
		return false
	}
	if x.accel.preserved == nil {
		x.accel.preserved = new(kept)
	}
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Drop {
			x.accel.preserved.add(f)
		}
	}
	raw := x.headFor(a.Redirect)
	x.app.server.Answered()
	if !x.upload.body.Done { // nobody reads what is missing
		x.client.keep, bodyless = false, false
	}
	x.app.leave(bodyless)
	sendbuf.Drop(&x.app.out)
	x.upload.file.Close()
	x.upload.file, x.upload.tail = nil, nil
	x.upload.body = http1.Body{Done: true}
	x.app.head, x.upload.gathered, x.app.partialHead = x.app.head[:0], x.upload.gathered[:0], x.app.partialHead[:0]
	x.count()
	x.app.tried, x.app.sticky, x.app.connected, x.app.reused, x.app.retried, x.app.hung = 0, -1, false, false, false, false
	x.idempotent, x.client.unbuffered = true, false
	x.accel.head = append(x.accel.head[:0], raw...)

	h := &x.f.head
	if r := h.Parse(x.accel.head, http1.Limits{Bytes: len(x.accel.head), Fields: x.f.p.o.HeaderFields}); r != nil {
		x.fail(502, fmt.Errorf("X-Accel-Redirect: %w", r))
		return false
	}
	route, r := x.f.p.find(h.Path)
	switch {
	case r != nil:
		x.fail(502, fmt.Errorf("X-Accel-Redirect to %.200q: %w", h.Target, r))
		return false
	case route.Redirect != "" || http1.HasDots(h.Path): // below Match and out again is no route's, as for nginx
		x.fail(502, fmt.Errorf("X-Accel-Redirect to %.200q: a path below the match of one of routes is needed", h.Target))
		return false
	}
	x.route = route
	// Not within the reading of the first upstream's answer.
	ref := x.client.conn.Ref()
	x.f.loop.Later(func() {
		if c, ok := ref.Conn(); !ok || x.client.conn != c {
			return
		}
		h := &x.f.head
		if h.Parse(x.accel.head, http1.Limits{Bytes: len(x.accel.head), Fields: x.f.p.o.HeaderFields}) == nil {
			x.take(h, x.f.readRequest(x.client.conn, h), nil)
		}
	})
	return false
}

// headFor is the request's head for another path: without a body, and without its conditions on the app's own
// answer being lost.
func (x *exchange) headFor(target []byte) []byte {
	line, rest, _ := bytes.Cut(x.accel.head, []byte("\r\n"))
	version := line[bytes.LastIndexByte(line, ' '):]
	b := []byte("GET ")
	if x.isHead {
		b = []byte("HEAD ")
	}
	for i, c := range target { // apps name files as they are
		if c <= ' ' || c >= 0x7f || c == '#' || c == '%' && (i+2 >= len(target) || !http1.IsHex(target[i+1]) || !http1.IsHex(target[i+2])) {
			b = fmt.Appendf(b, "%%%02X", c)
			continue
		}
		b = append(b, c)
	}
	b = append(append(b, version...), "\r\n"...)
	for line := range bytes.Lines(rest) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case http1.EqualFold(name, "content-length"), http1.EqualFold(name, "content-type"), http1.EqualFold(name, "content-encoding"),
			http1.EqualFold(name, "transfer-encoding"), http1.EqualFold(name, "expect"), http1.EqualFold(name, "upgrade"):
		default:
			b = append(b, line...)
		}
	}
	return b
}
