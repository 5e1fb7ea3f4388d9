// Package request has what is known of a client's request, read once: who sent it, and by which scheme, host and
// port the client came. The proxy reads it, and whoever else takes part in a request is handed it.
package request

import (
	"bytes"
	"net/netip"
	"strconv"

	"holdfast/internal/http1"
)

// Request is one request. Its slices are valid as long as the head that it was read from.
type Request struct {
	Peer    netip.AddrPort // the other end of the connection, or whom its PROXY header names; invalid on a unix socket
	Client  netip.AddrPort // who sent it: the peer, or whom a trusted proxy names; port 0: not known
	Trusted bool           // the peer is a trusted proxy

	HTTPS    bool   // how the client came to the outermost proxy
	Declared bool   // a trusted proxy or a PROXY header says so; false: it is the configuration's, or http
	Host     []byte // that the client asked for, host[:port]; empty: it named none
	Port     uint16 // that the client connected to

	Head []byte // from the request line to the empty line, checked
	Rest []byte // what was read behind it
	Body bool   // the head announces a body

	forwardedFor  []byte // of a trusted proxy
	forwardedPort uint16 // of a trusted proxy; 0: it says none
}

// Scheme is http or https.
func (r *Request) Scheme() string {
	if r.HTTPS {
		return "https"
	}
	return "http"
}

// Clone returns a copy that keeps its own bytes.
func (r *Request) Clone() Request {
	c := *r
	c.Host, c.Head, c.Rest, c.forwardedFor = bytes.Clone(r.Host), bytes.Clone(r.Head), bytes.Clone(r.Rest), bytes.Clone(r.forwardedFor)
	return c
}

// AppendForwardedFor adds the value of X-Forwarded-For for the app: what a trusted proxy says, and the peer.
func (r *Request) AppendForwardedFor(b []byte) []byte {
	b = append(b, r.forwardedFor...)
	if peer := r.Peer.Addr(); peer.IsValid() {
		if len(r.forwardedFor) > 0 {
			b = append(b, ", "...)
		}
		b = peer.AppendTo(b)
	}
	return b
}

// AppendForwarding sets the forwarding fields: one value each, of what was read, but for the list of addresses.
func (r *Request) AppendForwarding(b []byte) []byte {
	if r.Peer.Addr().IsValid() || len(r.forwardedFor) > 0 {
		b = append(b, "X-Forwarded-For: "...)
		b = append(r.AppendForwardedFor(b), "\r\n"...)
	}
	if client := r.Client.Addr(); client.IsValid() {
		b = append(b, "X-Real-IP: "...)
		b = append(client.AppendTo(b), "\r\n"...)
	}
	b = append(b, "X-Forwarded-Proto: "...)
	b = append(append(b, r.Scheme()...), "\r\n"...)
	if len(r.Host) > 0 {
		b = http1.AppendField(b, []byte("X-Forwarded-Host"), r.Host)
	}
	b = append(b, "X-Forwarded-Port: "...)
	return append(strconv.AppendUint(b, uint64(r.ForwardedPort()), 10), "\r\n"...)
}

// ForwardedPort is the value of X-Forwarded-Port for the app: a trusted proxy's word, or else Port.
func (r *Request) ForwardedPort() uint16 {
	if r.forwardedPort > 0 {
		return r.forwardedPort
	}
	return r.Port
}

// Reader reads requests of one listener.
type Reader struct {
	Trusted func(netip.Addr) bool // peers whose forwarding fields are believed, also one without an address
	HTTPS   bool                  // clients come by https where nobody trusted says how
	Port    uint16                // that they connect to where neither a proxy nor Host names one; 0: the scheme's
	Listen  uint16                // of the listener, for a request without Host; 0: not known
}

// Read fills in all of r that tells who is calling and how. tls says that a PROXY header has told of TLS, host is
// the value of Host.
//
// Of a field with a list the last element counts, which the peer itself has written: what stands before it may be
// the client's. Addresses are the exception, as each can be looked up: those of trusted proxies are passed over.
func (rd *Reader) Read(r *Request, peer netip.AddrPort, tls bool, host []byte, said *http1.Forwarding) {
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	*r = Request{Peer: peer, Client: peer, Trusted: rd.Trusted(peer.Addr()), HTTPS: rd.HTTPS, Host: host}
	if tls {
		r.HTTPS, r.Declared = true, true
	}
	if r.Trusted {
		rd.believe(r, said)
	}
	r.Port = rd.port(r)
}

// believe takes over what a trusted proxy says. Forwarded counts only without the other fields: proxies that
// write those let a client's Forwarded pass.
func (rd *Reader) believe(r *Request, said *http1.Forwarding) {
	if value := said[http1.Forwarded]; len(value) > 0 && len(said[http1.ForwardedFor])+len(said[http1.ForwardedProto])+len(said[http1.ForwardedHost])+len(said[http1.RealIP]) == 0 {
		s := rd.parseForwarded(value)
		s[http1.ForwardedPort] = said[http1.ForwardedPort]
		said = &s
	}
	r.forwardedFor = said[http1.ForwardedFor]
	if len(r.forwardedFor) > 0 {
		r.Client = rd.client(r.Peer, r.forwardedFor)
	} else if a, ok := parseNode(said[http1.RealIP]); ok {
		r.Client = a
	}
	if https, ok := parseProto(last(said[http1.ForwardedProto])); ok {
		r.HTTPS, r.Declared = https, true
	}
	if h := last(said[http1.ForwardedHost]); http1.ValidHost(h) {
		r.Host = h
	}
	r.forwardedPort = parsePort(last(said[http1.ForwardedPort]))
}

// client is the last address in the list that is not a trusted proxy's. Everything before it may have been made up
// by the client itself.
func (rd *Reader) client(peer netip.AddrPort, list []byte) netip.AddrPort {
	client := peer
	for len(list) > 0 {
		var node []byte
		if i := bytes.LastIndexByte(list, ','); i >= 0 {
			node, list = list[i+1:], list[:i]
		} else {
			node, list = list, nil
		}
		a, ok := parseNode(http1.TrimOWS(node))
		if !ok {
			break // unknown, or obfuscated (RFC 7239 §6.3): what stands before it is hearsay
		}
		if client = a; !rd.Trusted(a.Addr()) {
			break
		}
	}
	return client
}

// port is the one that the client connected to: the Host that the client used is nearer to the truth than a proxy's
// word on it, which may be of a port that is mapped once more.
func (rd *Reader) port(r *Request) uint16 {
	if p := PortOf(r.Host); p > 0 {
		return p
	}
	switch {
	case r.forwardedPort > 0:
		return r.forwardedPort
	case rd.Port > 0 && r.HTTPS == rd.HTTPS:
		return rd.Port
	case len(r.Host) == 0 && rd.Listen > 0 && !r.HTTPS:
		return rd.Listen
	case r.HTTPS:
		return 443
	}
	return 80
}

// last is the last element of a list.
func last(list []byte) []byte {
	return http1.TrimOWS(list[bytes.LastIndexByte(list, ',')+1:])
}

// parseProto reports whether a scheme is one of TLS. Some proxies name the protocol that is spoken by it.
func parseProto(b []byte) (https, ok bool) {
	switch {
	case http1.EqualFold(b, "https"), http1.EqualFold(b, "wss"):
		return true, true
	case http1.EqualFold(b, "http"), http1.EqualFold(b, "ws"):
		return false, true
	}
	return false, false
}

func parsePort(b []byte) uint16 {
	if len(b) == 0 || !http1.IsDigit(b[0]) {
		return 0
	}
	n, err := strconv.ParseUint(string(b), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// PortOf returns the port that an authority names, or 0.
func PortOf(host []byte) uint16 {
	_, port := http1.SplitHost(host)
	return parsePort(port)
}

// parseNode parses an address with or without port, and with the brackets that RFC 7239 wants.
func parseNode(b []byte) (netip.AddrPort, bool) {
	if len(b) == 0 || len(b) > 64 {
		return netip.AddrPort{}, false
	}
	plain := func(a netip.Addr, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(a.Unmap().WithZone(""), port)
	}
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil {
		return plain(a, 0), true
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return plain(a.Addr(), a.Port()), true
	}
	if s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return plain(a, 0), true
		}
	}
	return netip.AddrPort{}, false
}
