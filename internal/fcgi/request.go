package fcgi

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strconv"

	"holdfast/internal/http1"
)

// Request has the parameters of a request for a responder (RFC 3875 §4.1, and those that nginx adds). The caller has
// checked all of it: no control bytes anywhere.
type Request struct {
	Method   []byte
	Target   []byte // as it was sent, in origin form: REQUEST_URI
	Query    []byte // what follows the first '?' of Target
	Minor    byte   // HTTP/1.minor
	Host     []byte // that the client requested, with its port, if it has one; empty without
	Port     uint16 // that the client connected to; 0: the server's
	HTTPS    bool
	Client   netip.AddrPort // invalid if it came over a unix socket
	Server   netip.AddrPort // the address it came in at
	Software string         // SERVER_SOFTWARE; empty means "holdfast"

	Root       string // DOCUMENT_ROOT as the responder sees it
	Filename   string // SCRIPT_FILENAME as the responder sees it
	ScriptName string
	PathInfo   string // decoded; empty without

	User  string  // who has logged in: REMOTE_USER; empty: nobody
	Extra []Param // of the configuration

	Length int64 // of the body, which must be known; -1 without one
	Fields []http1.Field
}

// Append writes what precedes the body: BEGIN_REQUEST for request id and all parameters.
func (r *Request) Append(b []byte, id uint16, keep bool) []byte {
	p := NewParams(AppendBegin(b, id, keep), id)
	p.of = r
	p.AddString("GATEWAY_INTERFACE", "CGI/1.1")
	p.Add("REQUEST_METHOD", r.Method)
	p.AddString("SCRIPT_FILENAME", r.Filename)
	p.AddString("SCRIPT_NAME", r.ScriptName)
	if r.PathInfo != "" { // an empty one is what CVE-2019-11043 was entered by
		p.AddString("PATH_INFO", r.PathInfo)
		p.begin(len("PATH_TRANSLATED"), len(r.Root)+len(r.PathInfo))
		put(&p, "PATH_TRANSLATED")
		put(&p, r.Root)
		put(&p, r.PathInfo)
	}
	p.Add("QUERY_STRING", r.Query)
	p.Add("REQUEST_URI", r.Target)
	p.begin(len("DOCUMENT_URI"), len(r.ScriptName)+len(r.PathInfo))
	put(&p, "DOCUMENT_URI")
	put(&p, r.ScriptName)
	put(&p, r.PathInfo)
	p.AddString("DOCUMENT_ROOT", r.Root)
	if r.Minor == 0 {
		p.AddString("SERVER_PROTOCOL", "HTTP/1.0")
	} else {
		p.AddString("SERVER_PROTOCOL", "HTTP/1.1")
	}
	if r.HTTPS {
		p.AddString("REQUEST_SCHEME", "https")
		p.AddString("HTTPS", "on")
	} else {
		p.AddString("REQUEST_SCHEME", "http") // no HTTPS: apps ask whether it is there
	}
	r.addresses(&p)
	if r.User != "" {
		p.AddString("REMOTE_USER", r.User)
		p.AddString("AUTH_TYPE", "Basic")
	}
	software := r.Software
	if software == "" {
		software = "holdfast"
	}
	p.AddString("SERVER_SOFTWARE", software)
	p.AddString("REDIRECT_STATUS", "200") // php built with force-cgi-redirect runs nothing without it
	if r.Length >= 0 {
		var scratch [20]byte
		p.Add("CONTENT_LENGTH", strconv.AppendInt(scratch[:0], r.Length, 10))
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; !f.Drop && http1.EqualFold(f.Name, "content-type") {
			p.Add("CONTENT_TYPE", f.Value)
			break
		}
	}
	r.fields(&p)
	r.extra(&p)
	return p.End()
}

func (r *Request) addresses(p *Params) {
	var scratch [64]byte
	client := r.Client.Addr().Unmap().WithZone("")
	if client.IsValid() {
		p.Add("REMOTE_ADDR", client.AppendTo(scratch[:0]))
		if port := r.Client.Port(); port > 0 {
			p.Add("REMOTE_PORT", strconv.AppendUint(scratch[:0], uint64(port), 10))
		} else {
			p.AddString("REMOTE_PORT", "") // as nginx has it where a proxy names an address alone
		}
	} else {
		p.AddString("REMOTE_ADDR", "")
	}
	server := r.Server.Addr().Unmap().WithZone("")
	if server.IsValid() {
		p.Add("SERVER_ADDR", server.AppendTo(scratch[:0]))
	}
	switch {
	case r.Port > 0:
		p.Add("SERVER_PORT", strconv.AppendUint(scratch[:0], uint64(r.Port), 10))
	case server.IsValid():
		p.Add("SERVER_PORT", strconv.AppendUint(scratch[:0], uint64(r.Server.Port()), 10))
	case r.HTTPS:
		p.AddString("SERVER_PORT", "443")
	default:
		p.AddString("SERVER_PORT", "80")
	}
	switch name, _ := http1.SplitHost(r.Host); {
	case len(name) > 0:
		p.Add("SERVER_NAME", name)
	case server.IsValid():
		p.Add("SERVER_NAME", server.AppendTo(scratch[:0]))
	default:
		p.AddString("SERVER_NAME", "localhost")
	}
}

// fields writes the request's fields as HTTP_*, but those that the configuration has. Those that were sent several times become one. Each is
// compared with each, but by a number: their count is limited long before they come here, while names
// of many bytes that differ in the last would cost milliseconds.
func (r *Request) fields(p *Params) {
	var few [64]hashedField
	list := few[:0]
	for _, f := range r.Fields {
		if !f.Drop && passes(f.Name) && !r.replacesField(f.Name) {
			list = append(list, hashedField{f, hashName(f.Name)})
		}
	}
	for i := range list {
		if !isIn(list[:i], &list[i]) { // not written with an earlier one
			putField(p, &list[i], list[i+1:])
		}
	}
}

// hashedField is a field with the hash of its name.
type hashedField struct {
	http1.Field
	hash uint64
}

func (f *hashedField) same(g *hashedField) bool {
	return f.hash == g.hash && bytes.EqualFold(f.Name, g.Name)
}

// isIn reports whether a list has a field of the same name.
func isIn(list []hashedField, f *hashedField) bool {
	for i := range list {
		if f.same(&list[i]) {
			return true
		}
	}
	return false
}

// putField writes f and what its namesakes among the fields after it say.
func putField(p *Params, f *hashedField, after []hashedField) {
	separator := ", "
	if http1.EqualFold(f.Name, "cookie") {
		separator = "; " // RFC 9113 §8.2.3: the one list that is not a list
	}
	n := len(f.Value)
	for i := range after {
		if g := &after[i]; f.same(g) {
			n += len(separator) + len(g.Value)
		}
	}
	p.begin(len("HTTP_")+len(f.Name), n)
	put(p, "HTTP_")
	putName(p, f.Name)
	put(p, f.Value)
	for i := range after {
		if g := &after[i]; f.same(g) {
			put(p, separator)
			put(p, g.Value)
		}
	}
}

// seed is not known to who sends names.
var seed = rand.Uint64()

// hashName hashes a name in lower case (FNV-1a).
func hashName(name []byte) uint64 {
	h := seed
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h | 1
}

func putName(p *Params, name []byte) {
	for len(name) > 0 {
		var piece [32]byte
		n := copy(piece[:], name)
		name = name[n:]
		for i, c := range piece[:n] {
			switch {
			case c == '-':
				piece[i] = '_'
			case c >= 'a' && c <= 'z':
				piece[i] = c - 0x20
			}
		}
		put(p, piece[:n])
	}
}

// notPassed fields have a parameter of their own, end at this hop, or must not be there: a program
// that reads HTTP_PROXY takes it for its own configuration (httpoxy).
var notPassed = http1.NewNameSet(
	"connection", "content-length", "content-type", "expect", "http2-settings", "keep-alive", "proxy", "proxy-connection",
	"te", "trailer", "transfer-encoding", "upgrade",
)

// passes says whether a field becomes HTTP_*. Its name may have letters, digits and dashes: everything
// else is a way to spell another field. PHP makes an underscore of a dot, too.
func passes(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	for _, c := range name {
		if !http1.IsDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' {
			return false
		}
	}
	return !notPassed.Has(name)
}
