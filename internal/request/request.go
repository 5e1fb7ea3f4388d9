// Package request reads who sent a request, and which scheme, host and port the client used. The proxy reads it once,
// and passes it on to all others that handle the request.
package request

import (
	"bytes"
	"net/netip"
	"strconv"

	"holdfast/internal/http1"
	"holdfast/internal/tracecontext"
)

// Request is one request. Its slices are valid as long as the head that it was read from.
type Request struct {
	Peer    netip.AddrPort // the connection's peer, or the address in its PROXY header; invalid on a unix socket
	Client  netip.AddrPort // the peer, or the address that a trusted proxy reports; port 0: not known
	Trusted bool           // the peer is a trusted proxy

	HTTPS    bool   // the client used https to the outermost proxy
	Declared bool   // a trusted proxy or a PROXY header reports that; false: from the configuration, or http
	Host     []byte // that the client requested, host[:port]; empty: none
	Port     uint16 // that the client connected to

	Head []byte // from the request line to the empty line, checked
	Rest []byte // what was read behind it
	Body bool   // the head announces a body

	Fields []byte               // lines that the response of the push path has besides its own; never changed
	Trace  tracecontext.Context // of a request for the push path

	forwardedFor  []byte // of a trusted proxy
	forwardedPort uint16 // of a trusted proxy; 0: none
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

// AppendForwardedFor appends the value of X-Forwarded-For for the app: that of a trusted proxy, and the peer.
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

// AppendForwarding appends the forwarding fields for the app: one value each, except the list of addresses.
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

// ForwardedPort returns the value of X-Forwarded-Port for the app: that of a trusted proxy, or else Port.
func (r *Request) ForwardedPort() uint16 {
	if r.forwardedPort > 0 {
		return r.forwardedPort
	}
	return r.Port
}

// Reader reads requests of one listener.
type Reader struct {
	Trusted func(netip.Addr) bool // reports whether a peer's forwarding fields are trusted; a peer on a unix socket has no address
	HTTPS   bool                  // clients use https, unless a trusted proxy says otherwise
	Port    uint16                // port that clients connect to if neither a proxy nor Host names one; 0: the scheme's
	Listen  uint16                // of the listener, for a request without Host; 0: not known
}

// Read sets the client, scheme, host and port of r. tls means that a PROXY header has reported TLS; host is the value
// of Host.
//
// Of a list, Read uses the last element, which the peer itself has written: the client may have sent those before. Of
// addresses, it uses the last one that is not a trusted proxy's.
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

// believe applies the fields of a trusted proxy. Forwarded is used only without the other fields: proxies that write
// those pass a client's Forwarded on.
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

// client returns the last address in the list that is not a trusted proxy's. The client may have forged all addresses
// before it.
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
			break // unknown, or obfuscated (RFC 7239 §6.3): elements before it can't be trusted
		}
		if client = a; !rd.Trusted(a.Addr()) {
			break
		}
	}
	return client
}

// port returns the port that the client connected to. Host, as the client sent it, takes precedence over a proxy's
// header, which may name a port that is mapped once more.
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

// parseProto reports whether a scheme uses TLS. Some proxies send the protocol on top of it.
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
