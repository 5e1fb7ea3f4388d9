package http1

// Forwarding is what a request says in the forwarding fields, each value joined from all its lines, by index of
// ForwardingNames.
type Forwarding [len(ForwardingNames)][]byte

// ForwardingNames are the fields in which proxies say who is calling, in lower case.
var ForwardingNames = [...]string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip", "forwarded"}

// The indices of ForwardingNames.
const (
	ForwardedFor = iota
	ForwardedProto
	ForwardedHost
	ForwardedPort
	RealIP
	Forwarded // RFC 7239
)
